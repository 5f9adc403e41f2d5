"""Whatever goes wrong between two rounds, no parameters are kept under another round's number."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import engine
from engine.core.replays.replayed_run import replay_run
from engine.errors import BadInputError, StorageError
from engine.recording import Loss, Recorder
from engine.store.files import Files

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "docs" / "examples"))
import ppo_single_file as loop

N, ENVS, COEFFICIENT = 16, 2, 0.25


@pytest.fixture(scope="module", autouse=True)
def allowed() -> Iterator[None]:
    before = engine.allow(packages=("ppo_single_file",))
    yield
    engine.allow(**vars(before))


class Training:
    """Rounds of one minibatch each, whose records somebody made up."""

    def __init__(self, path: Path, **given: Any) -> None:
        torch.manual_seed(3)
        self.agent, self.path = loop.Agent(), path
        self.optimizer = torch.optim.Adam(self.agent.parameters(), lr=3e-3)
        declared = {"loss": Loss(vf_coef=COEFFICIENT), "rebuild": loop.make_agent, "self_test": False}
        self.recorder = Recorder(path, self.agent, self.optimizer, evaluate=loop.evaluate, **declared | given)

    def round(self, seed: int, **changes: Any) -> None:
        """Collect, and update."""
        generator = torch.Generator().manual_seed(seed)
        observation = torch.randn(N, 4, generator=generator)
        action = torch.randint(2, (N,), generator=generator)
        with torch.no_grad():
            _, log_prob, _, value = self.agent.act(observation, action)
        advantage = torch.randn(N, generator=generator)
        given = {"observation": observation, "action": action, "log_prob": log_prob, "value": value}
        given |= {"advantage": advantage, "returns": value + advantage, "reward": np.ones(N), "starts": np.zeros(N)}
        self.recorder.round(**given | changes, n_envs=ENVS)
        self.recorder.minibatch(torch.arange(N))
        self.update(observation, action, log_prob, advantage, value + advantage)

    def update(self, *columns: torch.Tensor) -> None:
        observation, action, log_prob, advantage, returns = columns
        _, now, _, value = self.agent.act(observation, action)
        ratio = (now - log_prob).exp()
        gain = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        loss = torch.max(-gain * ratio, -gain * ratio.clamp(0.8, 1.2)).mean()
        self.optimizer.zero_grad()
        (loss + COEFFICIENT * ((value - returns) ** 2).mean()).backward()
        nn.utils.clip_grad_norm_(self.agent.parameters(), 0.5)
        self.optimizer.step()

    def move(self) -> None:
        """Train without the recorder's knowledge."""
        with torch.no_grad():
            for parameter in self.agent.parameters():
                parameter.add_(1.0)

    def check(self, rounds: int) -> None:
        """The run is sound, and each of so many rounds leads bit for bit to what is kept after it."""
        run = engine.open_run(self.path)
        assert engine.verify_run(run.path) == []
        assert run.stored_rounds == list(range(rounds))
        assert run.final is not None
        assert run.final.round == rounds
        assert [each.equal for each in replay_run(run)] == [True] * rounds


OTHER = [
    ({"observation": torch.zeros(N, 5)}, r"observation is float32 of shape \(5,\), and the first round's was float32 of shape"),
    ({"observation": torch.zeros(N, 4, dtype=torch.float64)}, r"observation is float64 of shape \(4,\), and the first"),
    ({"observation": {"a": torch.zeros(N, 4)}}, r"observation is a: float32 of shape \(4,\), and the first round's was"),
    ({"observation": np.full((N, 4), "far")}, "observation is <U3; it must be numbers"),
    ({"action": torch.zeros(N, 2)}, r"action is float32 of shape \(2,\), and the first round's was a whole number"),
    ({"action": torch.full((N,), -1)}, "action -1 is none of the 2 that the first round took"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "says", "in_block"), [(*each, i % 2 == 0) for i, each in enumerate(OTHER)])
def test_a_round_unlike_the_first_is_refused_before_it_is_collected(
    changes: dict[str, Any], says: str, in_block: bool, tmp_path: Path
) -> None:
    training = Training(tmp_path / "run")

    def train() -> None:
        with training.recorder if in_block else nullcontext():
            training.round(0)
            training.round(1)
            training.round(2, **changes)

    with pytest.raises(BadInputError, match=says) as caught:
        train()
    assert len(str(caught.value).splitlines()) == 1
    training.move()  # a loop that goes on in spite of it
    training.recorder.close()
    training.check(2)


def test_a_refused_round_may_be_given_again_but_not_after_further_training(tmp_path: Path) -> None:
    training = Training(tmp_path / "run")
    training.round(0)
    with pytest.raises(BadInputError, match="the first round's was"):
        training.round(1, observation=torch.zeros(N, 5))
    training.round(1)
    with pytest.raises(BadInputError, match="the first round's was"):
        training.round(2, observation=torch.zeros(N, 5))
    training.move()
    with pytest.raises(BadInputError, match="the parameters have moved since round 2 was refused"):
        training.round(2)
    training.recorder.close()
    training.check(2)
    assert engine.open_run(training.path).snapshot(1).buffer.episode.max() == ENVS - 1


@pytest.mark.parametrize("wrong", [StorageError("the disk is full"), MemoryError(), KeyboardInterrupt()])
@pytest.mark.parametrize("file", ["data", "commits"])
def test_a_round_that_is_not_committed_ends_the_recording(
    wrong: BaseException, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(tmp_path / "run")
    training.round(0)
    training.round(1)

    def fails(*_: Any) -> None:
        raise wrong

    with monkeypatch.context() as broken:
        broken.setattr(Files, "create" if file == "data" else "publish", fails)
        with pytest.raises(type(wrong)):
            training.round(2)  # the update of round 1 is over
    training.move()
    with pytest.raises(
        BadInputError, match=r"round 1 could not be committed .* record what comes after that into another"
    ):
        training.round(2)
    training.recorder.close()
    training.check(1)


def test_a_recording_ends_where_the_last_commit_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(tmp_path / "run")
    training.round(0)
    training.round(1)
    given = engine.recording.disk_space.DiskSpace.dropped
    monkeypatch.setattr(engine.recording.disk_space.DiskSpace, "dropped", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError), training.recorder:
        pass
    monkeypatch.setattr(engine.recording.disk_space.DiskSpace, "dropped", given)
    training.recorder.close()
    training.check(1)
