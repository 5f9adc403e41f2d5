"""What a recorder says of the updates of a loop of one's own is what the formulas say, and costs the training nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import engine
from engine.recording import Loss, Recorder

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "docs" / "examples"))
import ppo_single_file as loop

N, CLIP, KEYS = 16, 0.05, {"approx_kl", "entropy", "clip_fraction"}


class Dropping(loop.Agent):
    """An agent that draws while it trains, and keeps statistics of what it sees then."""

    def __init__(self) -> None:
        super().__init__()
        self.torso = nn.Sequential(self.torso, nn.BatchNorm1d(64), nn.Dropout(0.5))


def own_terms(*_: Any, **__: Any) -> Any:
    """Never asked here."""


def recorded(path: Path, agent: Any, **given: Any) -> tuple[dict[str, Any], dict[str, float]]:
    """The metrics of a round whose update moved the agent, and what they are by the formulas."""
    optimizer = torch.optim.SGD(agent.parameters(), lr=0.5)
    declared = {"self_test": False, "loss": Loss(clip=CLIP)} | given
    generator = torch.Generator().manual_seed(1)
    observation, action = torch.randn(N, 4, generator=generator), torch.arange(N) % 2
    agent.eval()
    with torch.no_grad():
        _, before, _, value = agent.act(observation, action)
    agent.train()
    columns = {"observation": observation, "action": action, "log_prob": before, "value": value, "n_envs": 2}
    columns |= {name: np.ones(N) for name in ("advantage", "returns", "reward")} | {"starts": np.zeros(N)}
    with Recorder(path, agent, optimizer, evaluate=loop.evaluate, **declared) as recorder:
        recorder.round(**columns)
        recorder.minibatch(np.arange(N))
        agent.act(observation, action)[1][::3].mean().neg().backward()
        optimizer.step()
        state = {name: tensor.clone() for name, tensor in agent.state_dict().items()}
        drawn = torch.get_rng_state()
    assert torch.equal(torch.get_rng_state(), drawn)
    assert agent.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in agent.state_dict().items())
    with torch.no_grad():
        _, after, entropy, _ = agent.eval().act(observation, action)
        log_ratio = (after - before).double()
        ratio = log_ratio.exp()
        expected = {
            "approx_kl": float(((ratio - 1) - log_ratio).mean()),
            "entropy": float(entropy.mean()),
            "clip_fraction": float(((ratio - 1).abs() > CLIP).double().mean()),
        }
    metrics = engine.open_run(path).rounds[0].metrics
    return {name: metrics[name] for name in KEYS if name in metrics}, expected


@pytest.mark.parametrize("kind", [loop.Agent, Dropping])
def test_an_update_is_measured_by_the_formulas(kind: Any, tmp_path: Path) -> None:
    torch.manual_seed(2)
    found, expected = recorded(tmp_path / "run", kind())
    assert found == pytest.approx(expected, rel=1e-5)
    assert found["clip_fraction"] > 0
    assert found["approx_kl"] > 1e-4


def test_what_is_not_known_is_not_said(tmp_path: Path) -> None:
    found, expected = recorded(tmp_path / "terms", loop.Agent(), loss=None, terms=own_terms)
    assert found == pytest.approx({name: expected[name] for name in ("approx_kl", "entropy")}, rel=1e-5)
    agent = loop.Agent()
    agent.log = (tmp_path / "log").open("w")  # no module with an open file has a copy
    found, _ = recorded(tmp_path / "no copy", agent)
    agent.log.close()
    assert found == {}
