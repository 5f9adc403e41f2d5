"""Thirty of the hostile archives, runs, results and dumps; `python -m benchmarks hostile` tries all of them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.hostile import GIB, attempt, every

TRIED = 30


def test_each_ends_in_one_line_and_nothing_hostile_arrives(tmp_path: Path) -> None:
    made = every(tmp_path)
    assert len(made) >= 300
    assert len({name for name, _ in made}) == len(made)
    found = [attempt(name, make, tmp_path) for name, make in made[:: len(made) // TRIED]]
    assert len(found) >= TRIED
    assert [(each.name, each.wrong) for each in found if each.wrong] == []
    assert [(each.name, each.memory) for each in found if each.memory > GIB] == []
    assert sum(each.refused for each in found) > TRIED / 2
