"""Plain values read as types: what is written is read back equal, and anything else ends in one line."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from engine.config import FILTERS, TrainConfig
from engine.config_language import LanguageConfig
from engine.core.faithfulness.result import Faithfulness, Validation
from engine.core.targets.question import Question, TargetName
from engine.errors import BadInputError, DamagedRunError
from engine.intervention.across import Series
from engine.intervention.outcome import check_outcome
from engine.intervention.plan import Intervention
from engine.intervention.record_sets import WrittenSets
from engine.jobs import questions
from engine.jobs.folder import Status
from engine.spaces import Space
from engine.store.chain import Commit
from engine.store.manifest import Parent, RunManifest
from engine.typed import Finite, Share, typed

SAMPLE = Path(__file__).resolve().parents[2] / "sample_runs" / "FrozenLake-v1"
REMOVAL = SAMPLE / "interventions" / "8f920f3a0e6d"


@dataclass(frozen=True)
class Leaf:
    n: Annotated[int, Meta(ge=1)]
    share: Share = 0.5
    weight: Finite | None = None


@dataclass(frozen=True)
class Tree:
    leaves: list[Leaf] = field(default_factory=list)
    named: dict[str, Leaf] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], "it must be an object"),
        ({"leaves": {}}, "leaves is {}; it must be a list"),
        ({"leaves": [{}]}, "the setting leaves[0].n is missing"),
        ({"leaves": [{"n": 1}, {"n": 0}]}, "leaves[1].n is 0; it must be at least 1"),
        ({"leaves": [{"n": True}]}, "leaves[0].n is True; it must be a whole number of at least 1"),
        ({"leaves": [{"n": 1, "m": 2}]}, "unknown setting 'm' in leaves[0]; the settings are n, share, weight"),
        ({"leaves": [{"n": 1, "share": 2}]}, "leaves[0].share is 2; it must be in [0, 1]"),
        (
            {"leaves": [{"n": 1, "weight": float("inf")}]},
            "leaves[0].weight is inf; it must be a finite number or null",
        ),
        ({"leaves": [{"n": 1, "weight": 10**400}]}, "leaves[0].weight is 1000000000"),
        ({"named": {"a": {"n": "x" * 999}}}, "named[...].n must be a whole number of at least 1"),
        ({"named": {"a": {"n": 1, "m\n": 2}}}, "unknown setting 'm\\n' in named.a; the settings are"),
        ({"named": {"a\x1eb": {"n": 1, "m": 2}}}, r"unknown setting 'm' in named.'a\x1eb'; the settings are"),
        ({"named": {"a" * 999: {"n": 1, "m": 2}}}, "unknown setting 'm' in named.'aaa"),
        ({"roots": 3}, "unknown setting 'roots'; the settings are leaves, named"),
    ],
)
def test_what_is_wrong_is_said_of_the_value_that_is_wrong(values: Any, line: str) -> None:
    with pytest.raises(BadInputError) as caught:
        typed(Tree, values, "setting")
    assert str(caught.value).startswith(line)
    assert len(str(caught.value)) < 200


def test_names_that_no_field_has_may_be_passed_over() -> None:
    assert typed(Leaf, {"n": 1, "since": "version 9"}, more=True) == Leaf(1)


PLANS = st.builds(
    Intervention,
    round=st.integers(0, 999_999),
    removed=st.lists(st.integers(0, 2**40), min_size=1, max_size=5),
    mode=st.sampled_from(["mask", "rebatch"]),
    orders=st.integers(2, 8),
    episodes=st.integers(8, 10**6),
    measured=st.builds(
        TargetName,
        target=st.text(max_size=5),
        of_round=st.none() | st.integers(0, 9),
        about=st.lists(st.integers(0, 99), max_size=3),
        observation=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3),
        tokens=st.sampled_from([(), (1, 3), (2, 2)]),
    ),
)
CONFIGS = st.builds(
    TrainConfig,
    env_id=st.text(),
    rounds=st.integers(1, 10**9),
    seed=st.integers(0, 2**63 - 1),
    learning_rate=st.floats(0, 1, exclude_min=True),
    max_grad_norm=st.floats(0, exclude_min=True),
    target_kl=st.none() | st.floats(0, 1, exclude_min=True),
    filter=st.sampled_from(FILTERS).filter(lambda name: name != "reward_threshold"),
    drop=st.floats(0, 1, exclude_min=True),
    hidden=st.lists(st.integers(1, 99), max_size=4).map(tuple),
).filter(lambda config: config.env_id not in ("language", "courtesy"))
SPACES = st.one_of(
    st.builds(Space, st.just("discrete"), n=st.integers(1, 2**16), names=st.lists(st.text(), max_size=2).map(tuple)),
    st.lists(st.floats(allow_nan=False), max_size=3).map(
        lambda bounds: Space("box", 0, (len(bounds) or 1,), "float32", tuple(bounds) or (0.0,), tuple(bounds) or (1.0,))
    ),
)
TEXTS = st.dictionaries(st.text(), st.text(), max_size=3)
MANIFESTS = st.builds(
    lambda config, **own: RunManifest(env_id=config.env_id, config=config, encoder="flatten", **own),
    config=CONFIGS,
    observation_space=SPACES,
    action_space=SPACES,
    fingerprint=TEXTS,
    parent=st.none() | st.builds(Parent, st.text(), st.integers(0, 9), st.just((1, 5)), st.just("mask"), st.text()),
    created=st.text(),
)


@given(CONFIGS | PLANS | SPACES | MANIFESTS)
@settings(deadline=None, max_examples=200)
def test_what_is_written_is_read_back_equal(made: Any) -> None:
    assert type(made).from_json(json.loads(json.dumps(made.to_json(), allow_nan=False))) == made


@given(MANIFESTS)
@settings(deadline=None, max_examples=50)
def test_a_manifest_is_read_back_from_its_bytes_equal(made: RunManifest) -> None:
    again = RunManifest.from_bytes(made.to_bytes())
    assert again == made
    assert again.to_bytes() == made.to_bytes()


METRICS = st.dictionaries(
    st.text(),
    st.none() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False),
    max_size=3,
)


@given(st.builds(Commit, st.integers(0, 999_999), st.just(False), st.just(()), METRICS, st.text(), TEXTS))
@settings(deadline=None, max_examples=100)
def test_a_commit_is_read_back_equal(made: Commit) -> None:
    assert Commit.from_bytes(made.to_bytes(), f"{made.round:06d}.json") == made


VALIDATION = Validation(
    round=3,
    target={"target": "return"},
    snapshot_hash="",
    design="random",
    fraction=0.5,
    subsets=2,
    orders=2,
    estimators={"x": Faithfulness(0.5, 0.0, 1.0, 2.0, 0.3, (1.0, 2.0))},
    ceiling=0.86,
    ceiling_low=0.8,
    ceiling_high=0.9,
    actual=(1.0, 2.0),
    actual_error=(0.1, 0.2),
    null_exact=True,
    null_difference=0.0,
    fingerprint_equal=True,
    metasmoothness=0.5,
    seconds=1.0,
    created=1.0,
)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


LANGUAGE = LanguageConfig(policy="courtesy", reward="courtesy")
ASKED = Question(target=TargetName(target="action", about=(3,)), estimator="tracin", orders=2)
JOB = {"work": "influence", "question": {"round": 1, "target": ASKED.target.plain()}, "created": 1767323045.0}
READERS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "settings": (TrainConfig.from_json, read(SAMPLE / "run.json")["config"]),
    "language settings": (LanguageConfig.from_json, LANGUAGE.to_json()),
    "manifest": (RunManifest.from_json, read(SAMPLE / "run.json")),
    "commit": (
        lambda values: Commit.from_bytes(json.dumps(values).encode(), "000003.json"),
        read(SAMPLE / "commits" / "000003.json"),
    ),
    "plan": (Intervention.from_json, read(REMOVAL / "intervention.json")["plan"]),
    "series": (Series.from_json, Series(rounds=(1, 2)).to_json()),
    "question": (Question.from_json, ASKED.to_json()),
    "job": (questions.from_json, JOB),
    "status": (
        lambda values: typed(Status, values),
        {"state": "done", "doing": "", "done": 1, "total": 1, "time": 0.0},
    ),
    "sets": (
        lambda values: typed(WrittenSets, values),
        {"sets": {"basket": [1]}, "undo": [{"of": "basket", "added": [1]}]},
    ),
    "validation": (Validation.from_json, json.loads(json.dumps(VALIDATION.to_json()))),
    "result": (lambda values: check_outcome(values, "result.json"), read(REMOVAL / "branch" / "result.json")),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def changed(values: Any, draw: Callable[..., Any]) -> Any:
    """Plain values with something else in one place, without it, or with something more."""
    values = copy.deepcopy(values)
    place = values
    while True:
        if not isinstance(place, dict | list) or not place:
            return draw(JSON)
        step = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if isinstance(place[step], dict | list) and place[step] and draw(st.booleans()):
            place = place[step]
            continue
        what = draw(st.sampled_from(["another", "none", "more"]))
        if what == "none":
            del place[step]
        elif what == "more" and isinstance(place, dict):
            place[draw(st.text())] = draw(JSON)
        else:
            place[step] = draw(JSON)
        return values


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@settings(deadline=None, max_examples=150, derandomize=True)
def test_whatever_is_read_ends_in_a_value_or_in_one_line(name: str, data: st.DataObject) -> None:
    reader, good = READERS[name]
    values = data.draw(JSON) if data.draw(st.integers(0, 4)) == 0 else changed(good, data.draw)
    line = "a value"
    try:
        reader(values)
    except (BadInputError, DamagedRunError) as error:
        line = str(error)
    assert len(line.splitlines()) == 1
    assert len(line) < 2000


@pytest.mark.parametrize("name", READERS)
def test_what_is_sound_is_read(name: str) -> None:
    reader, good = READERS[name]
    if name != "commit":  # whose bytes are those that were written, or it is none
        reader(good)


def test_numbers_of_numpy_are_plain_ones() -> None:
    plan = Intervention(round=np.int64(1), removed=tuple(np.array([3, 1])), orders=np.int32(2))  # type: ignore[arg-type]
    assert json.loads(json.dumps(plan.to_json()))["removed"] == [1, 3]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"subsets": 3}, "it has no number for each subset"),
        ({"actual": [1.0, "x"]}, r"actual\[1\] is 'x'; it must be a finite number or null"),
        ({"predicted": {"other": [1.0, 2.0]}}, "its estimators differ"),
        ({"estimators": {"x over many orders": {"lds": 1, "low": 1, "high": 1}}}, "must be an estimator's name"),
        ({"target": "action"}, "it names two targets"),
        ({"created": None}, "created is None; it must be a finite number"),
        ({"colour": "red"}, "unknown field 'colour'"),
    ],
)
def test_what_is_no_validation_is_refused(change: dict[str, Any], line: str) -> None:
    values = json.loads(json.dumps(VALIDATION.to_json()))
    with pytest.raises(BadInputError, match=line):
        Validation.from_json({**values, **change})
