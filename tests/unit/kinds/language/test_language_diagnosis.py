"""What the bottom sequences of a round have in common: features by hand, and `diagnose` of recorded rounds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command, refused
from languages import record_language

import engine
from engine.analysis.diagnosis import Diagnosis, compare
from engine.analysis.features import features
from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.core.features import Feature
from engine.core.influence import read_influence
from engine.core.scores import Scores
from engine.core.targets.question import TargetName
from engine.errors import BadInputError
from engine.jobs.calculate import calculate
from engine.jobs.questions import Diagnose, from_json, to_json
from engine.kinds.language.sequences import TOKEN_COLUMNS, LanguageSnapshot, SequenceBuffer
from engine.store.read import Run

NO_ROLLOUTS = "nothing is said of A-bar: rollouts are played in an environment, and a response is written in none"


def round_of(prompts: list[int], responses: list[int], group: list[int], **columns: Any) -> LanguageSnapshot:
    """A made-up round of sequences of these lengths; a column that is not given is 0."""
    n, tokens = len(prompts), sum(prompts) + sum(responses)
    mask = np.concatenate([[False] * before + [True] * after for before, after in zip(prompts, responses, strict=True)])
    of_tokens: dict[str, Any] = {name: np.zeros(tokens, np.float32) for name in TOKEN_COLUMNS}
    of_tokens |= {"token": np.zeros(tokens, np.int32), "mask": mask}
    of_records: dict[str, Any] = {
        "reward": np.zeros(n, np.float32),
        "reward_parts": {},
        "truncated": np.zeros(n, bool),
        "kept": np.ones(n, bool),
        "repaired": np.zeros(n, bool),
    }
    given = {name: np.asarray(value, np.float32) for name, value in columns.items() if name in of_tokens}
    given |= {name: value for name, value in columns.items() if name not in of_tokens}
    buffer = SequenceBuffer(
        prompt=["say"] * n,
        response=["so"] * n,
        group=np.asarray(group, np.int32),
        start=np.concatenate([[0], np.cumsum(np.add(prompts, responses))]).astype(np.int64),
        **{**of_tokens, **of_records, **given},
    )
    return LanguageSnapshot(
        round=3,
        config=TrainConfig(env_id="language", path="torch", n_steps=n, batch_size=n),
        language=LanguageConfig(policy="made-up", reward="made-up"),
        buffer=buffer,
        validation=None,
        checkpoint={},
        minibatches=np.arange(n, dtype=np.int32)[None],
    )


def columns(found: list[Feature]) -> dict[str, list[float]]:
    return {feature.name: feature.values.tolist() for feature in found}


def test_features_of_sequences_by_hand() -> None:
    snapshot = round_of(
        [2, 1, 1],
        [2, 1, 2],
        [0, 0, 1],
        reward=np.array([1, -1, 0.5], np.float32),
        reward_parts={"model": np.array([2, 0, 1], np.float32), "brief": np.array([-1, -1, -0.5], np.float32)},
        truncated=np.array([False, True, False]),
        kept=np.array([True, True, False]),
        repaired=np.zeros(3, bool),
        advantage=[0, 0, 5, -2, 0, 3, 0, 0, 0.5],
        kl=[0, 0, 1, 2, 0, -1, 0, 0.5, 0],
        log_prob=[0, 0, -1, -3, 0, -4, 0, -1, -1],
        entropy=[9, 9, 1, 2, 9, 3, 9, 0, 1],
    )
    assert columns(features(snapshot)) == {
        "reward": [1, -1, 0.5],
        "reward/model": [2, 0, 1],
        "reward/brief": [-1, -1, -0.5],
        "advantage of the last token": [-2, 3, 0.5],
        "size of the advantage": [2, 3, 0.5],
        "positive advantage": [0, 1, 1],
        "length of the response": [2, 1, 2],
        "length of the prompt": [2, 1, 1],
        "truncated": [0, 1, 0],
        "KL": [3, -1, 0.5],
        "KL per token": [1.5, -1, 0.25],
        "mean log probability": [-2, -4, -1],
        "mean entropy": [1.5, 3, 0.5],
        "position in the round": [0, 1, 2],
        "position in its group": [0, 1, 0],
        "dropped": [0, 0, 1],
    }


def test_what_says_nothing_new_is_no_feature() -> None:
    """A reward of a single part is the reward, and a prompt's only response has no place among others."""
    reward = np.array([1, 2], np.float32)
    found = columns(features(round_of([1, 1], [1, 1], [0, 1], reward=reward, reward_parts={"model": reward})))
    assert not {"reward/model", "position in its group"} & set(found)


def test_a_place_in_the_group_where_its_responses_lie_apart() -> None:
    found = columns(features(round_of([1] * 5, [1] * 5, [1, 0, 1, 0, 1])))
    assert found["position in its group"] == [0, 0, 1, 1, 2]


def made_up(snapshot: LanguageSnapshot, influence: Any, silent: Any = None) -> Scores:
    n = len(snapshot.buffer)
    no_signal = np.zeros(n, bool) if silent is None else np.isin(np.arange(n), silent)
    return Scores(
        np.asarray(influence, np.float32), 3, {"target": "sequence"}, "first_order", 1, "", {}, no_signal=no_signal
    )


def test_records_without_a_signal_are_on_neither_side() -> None:
    """Twelve prompts; the last two records say nothing, and are as long as can be."""
    lengths = [9, 8, *[1, 2] * 4, 40, 50]
    snapshot = round_of([1] * 12, lengths, list(range(12)))
    scores = made_up(snapshot, [-3, -4, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0], silent=[10, 11])
    found = compare(snapshot, scores, features(snapshot), 0.25)
    assert found.bottom.tolist() == [1, 0], "a quarter of ten, worst first"
    assert found.ranked == 10
    length = next(trait for trait in found.traits if trait.name == "length of the response")
    assert (length.bottom, length.rest, length.delta) == (8.5, 1.5, 1)
    assert length.sentence == "higher length of the response: median 8.5, of the rest 1.5"
    assert found.cluster == "prompt"
    assert found.notes == (
        "2 of 12 sequences have no signal: nothing was learned from them, so they are compared with nothing",
    )


def test_responses_to_a_prompt_count_once() -> None:
    """Thirty pairs of equal responses are as certain as the thirty prompts, and no more."""
    lengths = [5, 5] * 6 + [1, 1] * 24
    influence = np.where(np.array(lengths) == 5, -1, 1)
    one, alone = round_of([1] * 60, lengths, [i // 2 for i in range(60)]), round_of([1] * 60, lengths, list(range(60)))

    def lowest(snapshot: LanguageSnapshot) -> float:
        found = compare(snapshot, made_up(snapshot, influence), features(snapshot), 0.2)
        return next(trait.low for trait in found.traits if trait.name == "length of the response")

    assert lowest(one) < lowest(alone)


def test_few_prompts_are_said() -> None:
    snapshot = round_of([1] * 6, [1, 2, 3, 1, 2, 3], [0, 0, 1, 1, 2, 2])
    found = compare(snapshot, made_up(snapshot, [-1, 1, 2, 3, 4, 5]), features(snapshot))
    assert found.notes == ("the round has only 3 prompts: too few for intervals over them",)
    assert not found.in_common


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record_language(tmp_path_factory.mktemp("languages"), rounds=1)


def check(found: Diagnosis, run: Run) -> None:
    """That it is about the lowest tenth by influence, and one of its traits by hand."""
    snapshot = run.snapshot(0)
    influence = engine.influence(snapshot).influence
    assert found.bottom.tolist() == np.argsort(influence, kind="stable")[: len(found.bottom)].tolist()
    here = np.isin(snapshot.buffer.record, found.bottom)
    position = next(trait for trait in found.traits if trait.name == "position in the round")
    assert position.bottom == np.median(np.flatnonzero(here))
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["target"] == "sequence"


def test_diagnose_of_a_recorded_round(run: Run) -> None:
    found = engine.diagnose(run, round=0, fraction=0.25)
    assert len(found.bottom) == 3
    check(found, run)
    assert found.notes[0] == NO_ROLLOUTS
    assert found.estimated is None
    assert NO_ROLLOUTS not in engine.diagnose(run, round=0, rollouts=0).notes
    assert engine.diagnose(run.snapshot(0), "return", fraction=0.25).scores.target["target"] == "return"


def test_grpo_compares_with_what_has_a_signal(tmp_path: Path) -> None:
    run = record_language(
        tmp_path, rounds=1, algorithm="grpo", group_size=4, normalize_advantage=False, vf_coef=0.0, n_steps=24
    )
    buffer = run.snapshot(0).buffer
    reward = np.where(buffer.group == 0, np.float32(1), buffer.reward)
    alike = np.where(buffer.group[buffer.record_of_token] == 0, np.float32(0), buffer.token_reward)
    snapshot = run.snapshot(0).changed(buffer=replace(buffer, reward=reward, token_reward=alike))
    found = engine.diagnose(snapshot, rollouts=0)
    assert found.ranked == 20
    assert not set(found.bottom.tolist()) & {0, 1, 2, 3}
    assert "4 of 24 sequences have no signal" in found.notes[0]


def test_rollouts_of_responses_are_refused_in_words(run: Run) -> None:
    with pytest.raises(BadInputError, match="A-bar can't be estimated of any record: rollouts are played in an env"):
        engine.diagnose(run, round=0, records=[1])


def test_the_command(command: Command, run: Run, tmp_path: Path) -> None:
    arguments = ("diagnose", run.path, "--round", 0, "--fraction", 0.25)
    code, out, _ = command(*arguments)
    assert code == 0
    assert "3 bottom sequences by first_order influence on the sequence target" in out
    assert "against the other 9" in out
    assert "length of the response" in out
    assert f"note: {NO_ROLLOUTS}" in out
    printed = command(*arguments, "--json").json
    assert printed.pop("run") == str(run.path)
    assert printed == json.loads(json.dumps(engine.diagnose(run, round=0, fraction=0.25).to_json()))
    first = int(run.snapshot(0).buffer.mask[run.snapshot(0).buffer.tokens_of(2)].argmax())
    span = command(*arguments, "--target", "action", "--record", 2, "--tokens", f"{first}:{first}", "--json").json
    assert span["target"] == "action"
    (tmp_path / "some.txt").write_text("3")
    refused(command(*arguments, "--rollouts-of", tmp_path / "some.txt"), "A-bar can't be estimated of any record")


def test_in_the_background(run: Run) -> None:
    """The job says how far it is, and leaves the scores where the page reads them."""
    said: list[str] = []
    question = Diagnose(round=0, target=TargetName(target="return").plain(), estimator="tracin")
    assert read_influence(run.snapshot(0), "return", "tracin") is None
    calculate(run, from_json(to_json(question)), lambda doing, done, total: said.append(doing))
    assert set(said) == {"tracin", "comparing the bottom records with the rest"}
    assert read_influence(run.snapshot(0), "return", "tracin") is not None
