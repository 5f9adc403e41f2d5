"""What the documentation says of planted faults and falls is what the published answers say."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product, takewhile
from pathlib import Path

import engine
from engine.experiments.faultlab.cell import Cell
from engine.experiments.faultlab.kept_cell import C
from engine.experiments.faultlab.lab import ENVIRONMENTS
from engine.experiments.faultlab.markdown import of_falls, of_plants
from engine.experiments.faultlab.natural_falls import FACTORS, FallsCell

ROOT = Path(engine.__file__).parents[1]
PLANTS = ROOT / "benchmarks" / "results" / "faultlab"
FALLS = PLANTS / "falls"
SEEDS = range(100, 105)
ROUND = 12


def finished(asked: Sequence[C], folder: Path) -> list[C]:
    """The cells of a folder; one that it has none of would be a hole in the table."""
    return [found for cell in asked if (found := cell.kept(folder)) is not None]


def check_pages(lines: Sequence[str], readme: Path) -> None:
    """All lines stand beside the answers, and the table in the docs as well."""
    assert "\n".join(lines) in readme.read_text()
    table = list(takewhile(bool, lines))
    assert "\n".join(table) in (ROOT / "docs" / "numbers.md").read_text()


def test_planted_faults() -> None:
    cells = finished([Cell(name, seed, ROUND) for name in ENVIRONMENTS for seed in SEEDS], PLANTS)
    assert len(cells) == len(list(PLANTS.glob("*.json"))) == len(ENVIRONMENTS) * len(SEEDS)
    check_pages(list(of_plants(cells)), PLANTS / "README.md")


def test_falls() -> None:
    asked = [FallsCell(*cell, ROUND + 1) for cell in product(ENVIRONMENTS, SEEDS, FACTORS)]
    cells = finished(asked, FALLS)
    assert len(cells) == len(list(FALLS.glob("*.json"))) > 0
    check_pages(list(of_falls(cells)), FALLS / "README.md")
