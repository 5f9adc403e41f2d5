"""What is said of the bottom records of a round."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import entry, moved_snapshot, record

import engine
from engine.analysis.features import MISMATCH, PRODUCT
from engine.core.kind import Kind, kind_of
from engine.core.targets.question import Question
from engine.envs import CATALOGUE
from engine.errors import BadInputError
from engine.kinds.control.rollout import td_errors
from engine.store.read import Run
from engine.store.snapshot import Snapshot

INLINE: dict[str, Any] = {"executor": "inline"}


def world(monkeypatch: pytest.MonkeyPatch, name: str, state: Any = None, **settings: Any) -> Snapshot:
    """A snapshot of a test world that the catalogue knows for the time being."""
    known = entry(name, state)
    monkeypatch.setitem(CATALOGUE, name, known)  # type: ignore[arg-type]
    return moved_snapshot(known, n_steps=64, n_epochs=2, batch_size=16, **settings)


@pytest.fixture
def snapshot(cartpole: Run, tmp_path: Path) -> Snapshot:
    """Round 1 of 140 records; nothing is kept from other tests."""
    shutil.copytree(cartpole.path, tmp_path / "run", ignore=shutil.ignore_patterns("derived"))
    return engine.open_run(tmp_path / "run").snapshot(1)


def test_diagnosis_of_a_round(snapshot: Snapshot) -> None:
    found = engine.diagnose(snapshot, rollouts=4, **INLINE)
    buffer, scores = snapshot.buffer, engine.influence(snapshot).influence
    assert found.bottom.tolist() == np.argsort(scores, kind="stable")[:14].tolist()
    at_bottom = np.isin(buffer.record, found.bottom)
    by_name = {trait.name: trait for trait in found.traits}
    left = by_name["action: push left"]
    assert (left.bottom, left.rest) == ((buffer.action[at_bottom] == 0).mean(), (buffer.action[~at_bottom] == 0).mean())
    assert left.delta == pytest.approx(left.bottom - left.rest)
    assert left.sentence == f"{left.bottom:.0%} took action push left, {left.rest:.0%} of the rest"
    advantage = by_name["advantage"]
    assert advantage.bottom == pytest.approx(float(np.median(buffer.advantage[at_bottom])))
    assert ("higher" if advantage.delta > 0 else "lower") in advantage.sentence
    sizes = [abs(trait.delta) for trait in found.traits]
    assert sizes == sorted(sizes, reverse=True)
    assert set(found.in_common) == {trait for trait in found.traits if trait.low > 0 or trait.high < 0}
    assert "reward" not in by_name, "it is 1 for every record"
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["bottom"] == found.bottom.tolist()


def test_columns_are_what_their_names_say(snapshot: Snapshot) -> None:
    found = engine.diagnose(snapshot, rollouts=4, **INLINE)
    buffer, columns, estimated = snapshot.buffer, found.columns, found.estimated
    assert estimated is not None
    np.testing.assert_allclose(columns[PRODUCT], estimated.advantage * buffer.advantage)
    np.testing.assert_allclose(columns["advantage error"], np.abs(estimated.advantage - buffer.advantage))
    np.testing.assert_allclose(columns["value error"], buffer.value - estimated.value)
    np.testing.assert_allclose(columns["TD error"], td_errors(buffer, snapshot.config))
    known = ~np.isnan(columns[MISMATCH])
    assert np.array_equal(known, np.abs(estimated.advantage) > 2 * estimated.error)
    assert np.array_equal(columns[MISMATCH][known] == 1, (estimated.advantage * buffer.advantage < 0)[known])
    whole = ~np.isnan(columns["return of the episode"])
    for episode in np.unique(buffer.episode):
        rows = buffer.episode == episode
        ended = bool((buffer.terminated | buffer.truncated)[rows].any())
        begun = columns["step in episode"][rows][0] == 0
        assert set(whole[rows]) == {ended and begun}
        assert set(columns["return of the episode"][rows & whole]) <= {float(rows.sum())}
    after = engine.replay(snapshot).agent.log_prob(buffer.observation, buffer.action)
    ratio = np.exp(after - buffer.log_prob)
    assert np.array_equal(columns["ratio clipped"] == 1, np.abs(ratio - 1) > 0.2)
    p = np.exp(buffer.log_prob.astype(float))
    np.testing.assert_allclose(columns["entropy of the policy"], -p * np.log(p) - (1 - p) * np.log(1 - p), rtol=1e-4)


def test_rollouts_are_left_out_where_none_are_wanted(snapshot: Snapshot) -> None:
    found = engine.diagnose(snapshot, rollouts=0, **INLINE)
    assert found.estimated is None
    assert PRODUCT not in found.columns
    assert found.traits
    assert found.to_json()["monte_carlo"] is None


def test_only_some_records_are_rolled_out_where_states_are_not_shared(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.analysis.diagnosis.SAMPLE", 20)
    found = engine.diagnose(snapshot, rollouts=2, **INLINE)
    assert found.estimated is not None
    ranked = np.argsort(np.argsort(engine.influence(snapshot).influence, kind="stable"))
    assert np.diff(np.sort(ranked[found.estimated.record])).max() <= 8
    assert {0, 139} <= set(ranked[found.estimated.record])
    assert "A-bar was estimated for 20 of 140 records" in found.notes


def test_states_that_can_not_be_restored_are_named_and_the_rest_goes_on(snapshot: Snapshot) -> None:
    reward = snapshot.buffer.reward.copy()
    reward[60] = 5
    altered = snapshot.changed(buffer=replace(snapshot.buffer, reward=reward))
    found = engine.diagnose(altered, rollouts=2, **INLINE)
    assert found.estimated is not None
    lost = list(range(62, 140, 2))
    assert found.to_json()["not_restored"] == lost
    assert np.isnan(found.columns[PRODUCT][lost]).all()
    assert sum("states of 39 of them could not be restored (records 62, 64," in note for note in found.notes) == 1
    assert not np.isnan(found.correlations[PRODUCT].value)


def test_an_environment_that_is_not_there_leaves_the_rest(snapshot: Snapshot) -> None:
    config = replace(snapshot.config, env_id="Elsewhere-v0")
    found = engine.diagnose(snapshot.changed(config=config), **INLINE)
    assert found.estimated is None
    assert any(note.startswith("nothing is said of A-bar: unknown environment 'Elsewhere-v0'") for note in found.notes)
    assert found.traits


def test_a_run_of_one_round_without_an_ended_episode(tmp_path: Path) -> None:
    run = record(tmp_path / "run", "Acrobot-v1", rounds=1, n_steps=40, n_epochs=1, gamma=0.5)
    found = engine.diagnose(run, round=0, rollouts=2, **INLINE)
    assert found.traits
    assert any("only 1 episode:" in note for note in found.notes)
    assert not found.in_common
    assert math.isnan(found.traits[0].low)


def certain_of(snapshot: Snapshot, action: int) -> Snapshot:
    """The snapshot with a policy that takes this one of two actions, whatever it sees."""
    name = next(name for name in snapshot.checkpoint if name.startswith("parameter/actor.4") and name.endswith("bias"))
    bias = np.full(2, -500, np.float32)
    bias[action] = 500
    return snapshot.changed(checkpoint={**snapshot.checkpoint, name: bias})


def test_bad_input_is_refused_in_words(snapshot: Snapshot) -> None:
    run = snapshot.path or Path()
    for arguments, words in (
        ({"fraction": 0}, "fraction is 0; the bottom is a part above 0 and at most 0.5"),
        ({"fraction": 0.7}, "fraction is 0.7"),
        ({"rollouts": 1}, "rollouts is 1; it must be at least 2"),
        ({"records": [140]}, "record 140 is out of range"),
        ({"target": "revenue"}, "unknown target 'revenue'"),
        ({"estimator": "guess"}, "unknown estimator 'guess'"),
        ({"executor": "threads"}, "executor is 'threads'"),
    ):
        with pytest.raises(BadInputError, match=words):
            engine.diagnose(snapshot, **{**INLINE, **arguments})  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="say which one with round="):
        engine.diagnose(run)
    never = certain_of(snapshot, 0)
    name = engine.TargetName(target="action", about=5, action=1)
    for target in (engine.action_target(never, record=5, action=1), name, Question(target=name, estimator="tracin")):
        with pytest.raises(BadInputError, match="gives action push right probability 0 in that state"):
            engine.diagnose(never, target, **INLINE)
    with pytest.raises(BadInputError, match="a question says the estimator"):
        engine.diagnose(snapshot, Question(target=engine.TargetName(), estimator="first_order"), "tracin", rollouts=0)


def test_a_question_says_by_whose_scores(snapshot: Snapshot) -> None:
    asked = Question(target=engine.TargetName(target="action", about=5), estimator="tracin", orders=2)
    found = engine.diagnose(snapshot, asked, rollouts=0)
    assert (found.scores.estimator, found.scores.orders, found.scores.target["target"]) == ("tracin", 2, "action")


def test_a_kind_that_says_nothing_of_its_records_is_diagnosed_too(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is known is whether a record was dropped; each stands for itself, and no rollouts are played."""

    class Plain(type(kind_of(snapshot))):  # type: ignore[misc]
        no_rollouts, features, groups = Kind.no_rollouts, Kind.features, Kind.groups

    monkeypatch.setattr("engine.analysis.diagnosis.kind_of", lambda _: Plain())
    monkeypatch.setattr("engine.analysis.features.kind_of", lambda _: Plain())
    found = engine.diagnose(snapshot.without(range(0, 140, 3)))
    assert set(found.columns) == {"dropped"}
    assert found.cluster == "record"
    assert found.notes == ("nothing is said of A-bar: nothing leads back to the states in which the records were made",)
    (trait,) = found.traits
    assert trait.sentence == f"0% were dropped from the update, {47 / 126:.0%} of the rest"
