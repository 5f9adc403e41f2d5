"""`influence` and `validate` on a run of a language model: what they print, their JSON, and bad input in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import Command
from languages import record_language

import engine
from engine.store.read import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record_language(tmp_path_factory.mktemp("languages"), rounds=1)


def test_influence_prints_responses_and_writes_scores(command: Command, run: Run, tmp_path: Path) -> None:
    snapshot = run.snapshot(0)
    code, out, _ = command("influence", run.path, "--round", 0, "--out", tmp_path / "scores.parquet")
    assert code == 0
    assert "first_order influence on the sequence target over regenerated validation prompts, round 0" in out
    assert "helped most" in out
    best = int(engine.influence(snapshot).influence.argmax())
    assert " ".join(snapshot.buffer.response[best].split())[:20] in out
    table = pq.read_table(tmp_path / "scores.parquet")
    parts = ["actor", "critic", "entropy"]
    assert table.column_names == ["record", "influence", *parts, "token_influence"]
    added = np.sum([table.column(part).to_numpy() for part in parts], axis=0)
    assert table.column("influence").to_pylist() == pytest.approx(added, rel=1e-4, abs=1e-5)
    sums = [sum(tokens) for tokens in table.column("token_influence").to_pylist()]
    assert table.column("influence").to_pylist() == pytest.approx(sums, rel=1e-5, abs=1e-5)


def test_influence_json_of_a_span(command: Command, run: Run) -> None:
    snapshot = run.snapshot(0)
    mask = snapshot.buffer.mask[snapshot.buffer.tokens_of(3)]
    first = int(np.flatnonzero(mask)[0])
    arguments = ("influence", run.path, "--round", 0, "--target", "action", "--record", 3, "--json")
    code, out, _ = command(*arguments, "--tokens", f"{first}:{first}", "--estimator", "tracin_adam")
    assert code == 0
    found = json.loads(out)
    target = engine.action_target(snapshot, record=3, tokens=(first, first))
    assert found["influence"] == engine.influence(snapshot, target, "tracin_adam").influence.tolist()
    assert found["record"] == list(range(len(snapshot.buffer)))
    assert (found["target"], found["of_record"], found["first"]) == ("action", 3, first)


@pytest.mark.long
def test_validate_measures_and_keeps(command: Command, run: Run) -> None:
    arguments = ("validate", run.path, "--round", 0, "--subsets", 4, "--orders", 2, "--executor", "inline")
    code, out, _ = command(*arguments, "--estimator", "first_order", "--estimator", "tracin_adam", "--json")
    assert code == 0
    found = json.loads(out)
    assert set(found["estimators"]) == {"first_order", "tracin_adam"}
    assert found["null_exact"]
    assert (found["subsets"], found["orders"], found["fraction"]) == (4, 2, 0.5)
    code, out, _ = command(*arguments)
    assert "sequence target over regenerated validation prompts, round 0" in out
    assert "null control: exact" in out


def test_what_influence_says_before_and_during(command: Command, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.core.estimators.averaged_over_orders.influence_seconds", lambda *_: 33.0)
    monkeypatch.setattr("engine.core.kind.recorded_here", lambda _: False)
    arguments = ("influence", run.path, "--round", 0, "--target", "return", "--estimator", "tracin")
    said = command(*arguments).err
    assert "note: tracin takes about 33 s" in said
    assert "note: round 0 was recorded with other software or on another machine" in said
    assert "tracin (0%)" in said
    assert "note:" not in command(*arguments).err, "answered from the cache"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--obs", "3"),
            "observations and actions are not for language models; their action target takes --record and --tokens",
        ),
        (("--of-round", "0"), "another round's sequences belong to the return target (--target return)"),
        (("--target", "action"), "needs a record"),
        (("--target", "action", "--record", "99"), "record 99 is out of range"),
        (("--target", "action", "--record", "1", "--tokens", "0:1"), "not in the response of record 1"),
        (("--target", "action", "--record", "1", "--record", "2"), "give --record once"),
        (("--tokens", "first"), "it must be FIRST:LAST"),
        (
            ("--estimator", "magic"),
            "unknown estimator 'magic'; there is first_order, tracin, tracin_adam, replay_gradient",
        ),
    ],
)
def test_bad_input_is_one_line(command: Command, run: Run, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = command("influence", run.path, "--round", 0, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_tokens_are_for_language_models(command: Command) -> None:
    code, _, err = command("influence", "sample_runs/FrozenLake-v1", "--round", 0, "--tokens", "1:2")
    assert code == 2
    assert "tokens belong to the responses of a language model (--tokens); a record here has none" in err
