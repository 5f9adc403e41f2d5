"""Two runs whose difference is known."""

from __future__ import annotations

import pytest
from planted import planted_run

import engine
from engine.store.read import Run

PLANTED = 6


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """The same training twice; in the second the steps of round 6 were three hundred times too large, and it never recovers."""
    folder = tmp_path_factory.mktemp("pair")
    config = engine.preset(
        "CartPole-v1", "default", rounds=12, n_envs=2, n_steps=512, n_epochs=4, batch_size=64, seed=3
    )
    return (
        planted_run(folder / "sound", "nothing", 0.0, config, k=PLANTED),
        planted_run(folder / "planted", "rate", 300.0, config, k=PLANTED),
    )
