"""The front door of attribution: scores, where they came from, and the cache beside the run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from worlds import entry, learner

import engine
from engine.core import influence as front_door
from engine.core.estimators.registry import ESTIMATORS
from engine.core.gradients.attribution import Term, top_and_bottom
from engine.core.targets.functions import Target
from engine.core.targets.of_records import as_space
from engine.errors import BadInputError
from engine.kinds.control.agents import restore_agent
from engine.spaces import Space
from engine.store.derived import save_table
from engine.store.read import Run
from engine.store.snapshot import Snapshot


@pytest.fixture
def snapshot(lander: Run, tmp_path: Path) -> Snapshot:
    """Round 2 of a copy of the run, whose cache is empty."""
    shutil.copytree(lander.path, tmp_path / "run", ignore=shutil.ignore_patterns("derived"))
    return engine.open_run(tmp_path / "run").snapshot(2)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The estimators that really ran."""
    ran: list[str] = []
    real = front_door.attribute

    def counted(snapshot: Snapshot, target: Target, estimator: str, *more: Any) -> Any:
        ran.append(estimator)
        return real(snapshot, target, estimator, *more)

    monkeypatch.setattr(front_door, "attribute", counted)
    return ran


def cached(snapshot: Snapshot) -> list[Path]:
    assert snapshot.path is not None
    return sorted((snapshot.path / "derived").glob("*"))


def test_scores_say_where_they_came_from(snapshot: Snapshot) -> None:
    scores = engine.influence(snapshot, "return")
    assert scores.influence.shape == (256,)
    assert scores.influence.dtype == np.float32
    assert (scores.round, scores.estimator, scores.orders) == (2, "first_order", 1)
    assert scores.target["target"] == "return"
    assert len(scores.target["buffer"]) == 16
    assert scores.snapshot_hash == snapshot.hash
    assert (scores.influence > 0).any()
    assert (scores.influence < 0).any()


def test_a_changed_snapshot_neither_reads_nor_writes_the_rounds_scores(snapshot: Snapshot) -> None:
    """Removing records changes the normalisation, and so everybody's influence."""
    whole = engine.influence(snapshot, "return")
    files = cached(snapshot)
    without = engine.influence(snapshot.without(range(100)), "return")
    assert not np.array_equal(without.influence, whole.influence)
    assert not without.influence[:100].any(), "records that the update went without did nothing"
    assert without.snapshot_hash == ""
    assert cached(snapshot) == files


def test_another_reference_buffer_is_another_target(snapshot: Snapshot) -> None:
    other = replace(snapshot.buffer, advantage=-snapshot.buffer.advantage)
    own, mirrored = (engine.influence(snapshot, engine.return_target(snapshot, b)) for b in (None, other))
    assert own.target != mirrored.target
    np.testing.assert_allclose(own.influence, -mirrored.influence, rtol=1e-4, atol=1e-6)


def test_refresh_replaces_what_is_kept(snapshot: Snapshot) -> None:
    right = engine.influence(snapshot, "return")
    (file,) = cached(snapshot)
    key = file.name.split("-")[0]
    assert snapshot.path is not None
    nothing = np.zeros(256, np.float32)
    terms: dict[Term, np.ndarray] = {"actor": nothing, "critic": nothing, "entropy": nothing}
    save_table(snapshot.path, key, replace(right, influence=nothing, terms=terms).to_arrow(), {})
    assert not engine.influence(snapshot, "return").influence.any()
    assert np.array_equal(engine.influence(snapshot, "return", refresh=True).influence, right.influence)
    assert np.array_equal(engine.influence(snapshot, "return").influence, right.influence)


def test_second_call_reads_what_the_first_one_kept(snapshot: Snapshot, computed: list[str]) -> None:
    first = engine.influence(snapshot, "return")
    (file,) = cached(snapshot)
    table = pq.read_table(file)
    assert table.column_names == ["record", "influence", "actor", "critic", "entropy"]
    assert np.array_equal(table["influence"].to_numpy(), first.influence)
    assert snapshot.path is not None
    again = engine.influence(engine.open_run(snapshot.path).snapshot(2), "return")
    assert np.array_equal(again.influence, first.influence)
    assert all(np.array_equal(again.terms[term], first.terms[term]) for term in first.terms)
    assert again.target == first.target
    assert computed == ["first_order"]


@pytest.mark.parametrize("damage", ["deleted", "flipped", "emptied", "renamed"])
def test_a_worthless_cache_is_computed_again(snapshot: Snapshot, computed: list[str], damage: str) -> None:
    first = engine.influence(snapshot, "return")
    (file,) = cached(snapshot)
    data = bytearray(file.read_bytes())
    if damage == "deleted":
        file.unlink()
    elif damage == "flipped":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    elif damage == "emptied":
        file.write_bytes(b"")
    else:
        file.rename(file.with_name(file.name[:70] + "0" * 20 + ".parquet"))
    again = engine.influence(snapshot, "return")
    assert np.array_equal(again.influence, first.influence)
    assert computed == ["first_order"] * 2
    engine.influence(snapshot, "return")
    assert computed == ["first_order"] * 2, "and kept again"


def test_each_target_round_and_run_has_its_own_scores(snapshot: Snapshot, computed: list[str]) -> None:
    assert snapshot.path is not None
    targets: list[Target | str] = [
        "return",
        engine.action_target(snapshot, record=3),
        engine.action_target(snapshot, record=4),
        engine.action_target(snapshot, record=3, action=(snapshot.buffer.action[3] + 1) % 4),
        engine.action_target(snapshot, observation=[0.0] * 8, action=2),
    ]
    found = [engine.influence(snapshot, target, "tracin").influence for target in targets]
    found.append(engine.influence(engine.open_run(snapshot.path).snapshot(1), "return", "tracin").influence)
    assert len(computed) == len(cached(snapshot)) == len(found)
    for i, one in enumerate(found):
        assert all(not np.array_equal(one, other) for other in found[:i])
    assert np.array_equal(engine.influence(snapshot, targets[2], "tracin").influence, found[2])
    assert len(computed) == len(found)


def test_scores_kept_before_there_were_terms_are_computed_again(snapshot: Snapshot, computed: list[str]) -> None:
    scores = engine.influence(snapshot, "return")
    (file,) = cached(snapshot)
    assert snapshot.path is not None
    without = scores.to_arrow().select(["record", "influence"])
    save_table(snapshot.path, file.name.split("-")[0], without, {})
    again = engine.influence(snapshot, "return")
    assert np.array_equal(again.influence, scores.influence)
    assert len(computed) == 2


@pytest.mark.parametrize("estimator", ["first_order", "tracin_adam"])
def test_a_split_by_layer_is_kept_and_serves_those_who_ask_for_less(
    snapshot: Snapshot, computed: list[str], estimator: str
) -> None:
    assert not engine.influence(snapshot, "return", estimator).layers
    split = engine.influence(snapshot, "return", estimator, by_layer=True)
    assert list(split.layers) == ["actor.0", "actor.2", "actor.4", "critic.0", "critic.2", "critic.4"]
    assert len(computed) == 2
    again = engine.influence(snapshot, "return", estimator, by_layer=True)
    assert all(np.array_equal(again.layers[layer], part) for layer, part in split.layers.items())
    assert np.array_equal(engine.influence(snapshot, "return", estimator).influence, split.influence)
    assert len(computed) == 2


def test_each_estimator_and_count_of_orders_has_its_own_scores(snapshot: Snapshot, computed: list[str]) -> None:
    found = []
    for estimator in ("first_order", "tracin", "tracin_adam", "replay_gradient"):
        for orders in (1, 2):
            scores = engine.influence(snapshot, "return", estimator, orders=orders)
            assert (scores.estimator, scores.orders) == (estimator, orders)
            again = engine.influence(snapshot, "return", estimator, orders=orders)
            assert np.array_equal(again.influence, scores.influence)
            found.append(scores.influence)
    assert len(computed) == len(cached(snapshot)) == len(found) == 8
    for i, one in enumerate(found):
        assert all(not np.array_equal(one, other) for other in found[:i])


def test_a_hand_typed_state_and_action_is_the_records_target(snapshot: Snapshot, computed: list[str]) -> None:
    record = engine.influence(snapshot, engine.action_target(snapshot, record=9))
    typed = engine.action_target(
        snapshot, observation=snapshot.buffer.observation[9].tolist(), action=int(snapshot.buffer.action[9])
    )
    assert np.array_equal(engine.influence(snapshot, typed).influence, record.influence)


def test_without_a_cache(snapshot: Snapshot, computed: list[str]) -> None:
    one = engine.influence(snapshot, "return", cache=False)
    two = engine.influence(snapshot, "return", cache=False)
    assert np.array_equal(one.influence, two.influence)
    assert computed == ["first_order"] * 2
    assert cached(snapshot) == []


def test_a_round_that_is_not_committed_is_never_cached(tmp_path: Path, computed: list[str]) -> None:
    config = engine.preset("CartPole-v1", "default", rounds=1, n_steps=64)
    for snapshot in engine.rounds(config, tmp_path / "run"):
        scores = engine.influence(snapshot)
        assert scores.snapshot_hash == ""
        engine.influence(snapshot)
        assert computed == ["first_order"] * 2
    committed = engine.influence(engine.open_run(tmp_path / "run").snapshot(0))
    np.testing.assert_array_equal(committed.influence, scores.influence)


def test_a_folder_that_can_not_be_written_is_no_reason_to_fail(snapshot: Snapshot) -> None:
    assert snapshot.path is not None
    (snapshot.path / "derived").write_text("a file in the way")
    assert np.isfinite(engine.influence(snapshot, "return").influence).all()


def test_bad_requests_are_refused_in_words(snapshot: Snapshot) -> None:
    with pytest.raises(BadInputError, match="unknown estimator 'magic'; there is first_order"):
        engine.influence(snapshot, "return", "magic")
    with pytest.raises(BadInputError, match="orders is 0; it must be at least 1"):
        engine.influence(snapshot, "return", orders=0)
    with pytest.raises(BadInputError, match="unknown target 'value'"):
        engine.influence(snapshot, "value")
    for arguments, message in (
        ({}, "needs either a record"),
        ({"record": 1, "observation": [0] * 8}, "needs either a record"),
        ({"observation": [0] * 8}, "needs an action beside it"),
        ({"record": 256}, "record 256 is out of range; this round has records 0 to 255"),
        ({"record": -1}, "record -1 is out of range"),
        ({"record": 0, "action": 4}, "one integer from 0 to 3"),
        ({"record": 0, "action": 1.5}, "one integer from 0 to 3"),
        ({"record": 0, "action": float("nan")}, "one integer from 0 to 3"),
        ({"record": 0, "action": float("inf")}, "one integer from 0 to 3"),
        ({"observation": [0] * 7, "action": 0}, "must be 8 finite numbers .*x velocity"),
        ({"observation": [float("nan")] * 8, "action": 0}, "must be 8 finite numbers"),
        ({"observation": ["left"] * 8, "action": 0}, "not made of numbers"),
    ):
        with pytest.raises(BadInputError, match=message):
            engine.action_target(snapshot, **arguments)


def test_a_zero_gradient_is_refused_in_words() -> None:
    """Reward always 0 and a critic that knows it: every advantage is 0, so the return target is flat."""
    agent = learner(entry("BarrenWorld-v0"), n_steps=16)
    tensors = agent.agent.tensors()
    flat = {name: np.zeros_like(t) if "critic" in name else t for name, t in tensors.items()}
    agent.agent = restore_agent(agent.config, agent.observation_space, agent.action_space, flat)
    snapshot = agent.collect()
    assert not snapshot.buffer.advantage.any()
    with pytest.raises(BadInputError, match=r"gradient of the return target is zero.*choose another target or a round"):
        engine.influence(snapshot, "return")


def test_values_typed_by_hand() -> None:
    box = Space("box", shape=(2,), dtype="float32", names=("a", "b"))
    assert as_space("observation", [1, 2.5], box).tolist() == [1, 2.5]
    assert as_space("observation", (3, 4), box).dtype == np.float32
    assert as_space("action", [2], Space("discrete", n=3)).tolist() == 2


def test_top_and_bottom_by_hand() -> None:
    """[3, -1, 0, 5, -4, 3]: helped most 3, then 0 before 5 (a tie, by number); hurt most 4, then 1."""
    top, bottom = top_and_bottom(np.array([3, -1, 0, 5, -4, 3], np.float32), 3)
    assert top.tolist() == [3, 0, 5]
    assert bottom.tolist() == [4, 1]
    top, bottom = top_and_bottom(np.array([-1, -2], np.float32), 5)
    assert top.tolist() == []
    assert bottom.tolist() == [1, 0]


def test_every_estimator_has_a_line_for_people() -> None:
    assert all(name == one.name for name, one in ESTIMATORS.items())
    assert all(one.note and "\n" not in one.note for one in ESTIMATORS.values())
