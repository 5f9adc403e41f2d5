"""The controls of a validation where it is known what they must find."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import engine
from engine.core.faithfulness import controls
from engine.core.faithfulness.controls import null_control, smoothness
from engine.store.snapshot import Snapshot, parameters_of

Tensors = dict[str, np.ndarray]


def replays_give(patch: pytest.MonkeyPatch, checkpoint: Callable[..., Tensors]) -> None:
    patch.setattr(controls, "replay", lambda snapshot, **given: SimpleNamespace(checkpoint=checkpoint(**given)))


def following(snapshot: Snapshot) -> Tensors:
    """theta(k+1), as it was recorded."""
    return dict(engine.open_run(snapshot.path or "").checkpoint(snapshot.round + 1))


def test_a_replay_has_the_bits_of_the_recorded_update(snapshot: Snapshot) -> None:
    assert null_control(snapshot) == (True, 0.0)


@pytest.mark.parametrize("share", [0.5, 1e-3])
def test_the_distance_is_a_share_of_the_updates_length(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    recorded = following(snapshot)
    before, after = parameters_of(dict(snapshot.checkpoint)), parameters_of(recorded)
    short = {f"parameter/{name}": (after[name] - share * (after[name] - before[name])) for name in after}
    assert short.keys() <= recorded.keys()
    replays_give(monkeypatch, lambda: recorded | short)
    exact, distance = null_control(snapshot)
    assert exact is False
    assert distance == pytest.approx(share, rel=1e-3)


def test_another_state_of_the_optimizer_is_not_the_same_update(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = following(snapshot)
    name = next(name for name, values in recorded.items() if name.startswith("optimizer/") and values.size > 1)
    replays_give(monkeypatch, lambda: recorded | {name: np.nextafter(recorded[name], np.float32(9))})
    assert null_control(snapshot) == (False, 0.0)
    replays_give(monkeypatch, lambda: {key: value for key, value in recorded.items() if key != name})
    assert null_control(snapshot) == (False, 0.0)


def test_a_round_that_is_not_on_disk_has_nothing_to_be_compared_with(snapshot: Snapshot) -> None:
    assert null_control(snapshot.changed(buffer=snapshot.buffer)) == (None, None)


def test_parameters_that_go_straight_on_are_smooth_and_those_that_turn_back_are_not(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two parameters, moved by the weights of the first two records: straight on, and there and back again."""
    h = controls.WEIGHT_STEP

    def moved(by: Callable[[np.ndarray], list[float]]) -> Callable[..., Tensors]:
        return lambda weights: {"parameter/w": np.array(by(np.asarray(weights)[:2] - 1), np.float64)}

    def found(by: Callable[[np.ndarray], list[float]]) -> float:
        replays_give(monkeypatch, moved(by))
        return smoothness(snapshot, np.random.default_rng(0))

    def back(step: Any) -> float:
        return float(h - abs(abs(step) - h))

    assert found(lambda step: [3 * step[0], -step[1]]) == pytest.approx(1)
    assert found(lambda step: [back(step[0]), back(step[1])]) == pytest.approx(-1)
    assert found(lambda step: [3 * step[0], back(step[1])]) == pytest.approx((6 - 2) / (6 + 2))
