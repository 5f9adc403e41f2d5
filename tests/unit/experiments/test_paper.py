"""The paper's figures stand beside training like its own, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.envs import with_settings
from engine.experiments.paper import PAPER, comparable, quoted
from engine.experiments.results import read_campaign

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"


@pytest.mark.parametrize(("env_id", "preset"), PAPER)
def test_every_preset_of_the_paper_has_its_figures(env_id: str, preset: str) -> None:
    paper = PAPER[env_id, preset]
    assert quoted(with_settings(env_id, preset, {"seed": 3, "rounds": 7})) is paper
    assert quoted(with_settings(env_id, preset, {"max_grad_norm": 0.5})) is paper, "its text clips"
    for other in (
        {"learning_rate": 1e-4},
        {"max_grad_norm": 1.0},
        {"n_envs": 2},
        {"optimizer": "sgd", "momentum": 0.9},
    ):
        assert quoted(with_settings(env_id, preset, other)) is None
    assert quoted(with_settings(env_id, "default", {})) is (paper if env_id == "BipedalWalker-v3" else None)


def test_in_what_an_experiment_still_differs_is_said() -> None:
    assert (
        comparable(with_settings("Acrobot-v1", "paper", {})) == "The paper's figures (Fig. 6) are of the same training."
    )
    old = comparable(with_settings("MiniGrid-Empty-8x8-v0", "v0.1", {}))
    assert "but for: gradients clipped at 0.5" in old
    assert old.endswith("; 30 rounds, where the paper has 40.")
    assert "does not train like this (adam 0.001)" in comparable(with_settings("LunarLander-v3", "tuned", {}))


def test_the_campaigns_of_version_0_1_were_trained_with_adam_where_the_paper_has_sgd() -> None:
    """They say `paper`, which is now the name of another training, and keep figures that don't belong beside them."""
    found = read_campaign(RESULTS).experiments
    assert {name: results.preset for name, results in found.items()} == dict.fromkeys(found, "v0.1")
    quotes = {name: quoted(results.config) for name, results in found.items()}
    assert {name: paper and paper.se_ave for name, paper in quotes.items()} == {
        "acrobot": None,
        "bipedalwalker": 31.0,
        "frozenlake": 34.0,
        "highway": None,
        "lunarlander": 46.7,
        "minigrid": 65.8,
    }
