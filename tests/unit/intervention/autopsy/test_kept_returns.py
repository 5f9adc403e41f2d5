"""Returns that an autopsy keeps: finished ones are not played again, and others than its own are as if there were none."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import engine
from engine.core.kind import kind_of
from engine.errors import CancelledError
from engine.intervention.autopsy import kept_returns
from engine.intervention.autopsy.examine import arms_of, autopsy
from engine.intervention.autopsy.kept_returns import AFTER, BEFORE, Returns
from engine.intervention.autopsy.order_of_play import missing
from engine.store.derived import save_table
from engine.store.read import Run

EPISODES = 8


@pytest.fixture
def run(cartpole: Run, tmp_path: Path) -> Run:
    shutil.copytree(cartpole.path, tmp_path / "run", ignore=shutil.ignore_patterns("derived"))
    return engine.open_run(tmp_path / "run")


def told(run: Run, stop_at: str = "never") -> list[str]:
    """What an autopsy says that it does, up to where it is cancelled."""
    found: list[str] = []

    def say(doing: str, done: int, total: int) -> None:
        if doing == stop_at:
            raise CancelledError
        found.append(doing)

    try:
        autopsy(run, 1, episodes=EPISODES, executor="inline", progress=say)
    except CancelledError:
        found.append("cancelled")
    return list(dict.fromkeys(found))


def test_what_was_finished_is_not_played_again(run: Run) -> None:
    first = ["checking the record", f"playing the policy {BEFORE}"]
    assert told(run, stop_at=f"playing the policy {AFTER}") == [*first, "cancelled"]
    assert told(run)[:2] == ["checking the record", f"playing the policy {AFTER}"]
    assert told(run) == ["checking the record"]


def test_the_returns_are_those_of_the_two_policies(run: Run) -> None:
    found = autopsy(run, 1, episodes=EPISODES)
    snapshot = run.snapshot(1)
    kind = kind_of(snapshot)
    evaluation = kind.evaluation(snapshot, {})
    trained_on = [kind.player(each, kind.agent(each)) for each in (snapshot, run.snapshot(2))]
    before, after = (evaluation.returns(player, 0, EPISODES) for player in trained_on)
    evaluation.close()
    assert found.real is not None
    assert (found.real.before, found.real.after) == (before.mean(), after.mean())
    assert found.real.change.value == pytest.approx((after - before).mean())


def test_without_a_cache_nothing_is_kept(run: Run) -> None:
    autopsy(run, 1, episodes=EPISODES, cache=False)
    assert BEFORE not in Returns(run, 1, EPISODES)


def test_other_rounds_and_other_numbers_of_episodes_share_nothing(run: Run) -> None:
    Returns(run, 1, EPISODES).keep(BEFORE, np.arange(8.0))
    assert Returns(run, 1, EPISODES)[BEFORE].tolist() == list(range(8))
    assert missing(Returns(run, 1, EPISODES), arms_of(run.snapshot(1))) == [AFTER]
    assert BEFORE not in Returns(run, 0, EPISODES)
    assert BEFORE not in Returns(run, 1, 4)


def test_why_an_arm_is_left_out_is_kept(run: Run) -> None:
    returns = Returns(run, 1, EPISODES)
    returns.keep(BEFORE, np.arange(8.0))
    returns.leave_out("half the epochs", "there is one")
    assert Returns(run, 1, EPISODES).left_out == {"half the epochs": "there is one"}
    assert Returns(run, 0, EPISODES).left_out == {}


@pytest.mark.parametrize("said", ["[]", "{", '{"half the epochs": 3}', "[" * 10_000])
def test_foreign_reasons_are_none(run: Run, said: str) -> None:
    key = kept_returns._key(run, 1, EPISODES)
    assert key is not None
    table = pa.table({"policy": [BEFORE] * 8, "value": [0.0] * 8})
    assert save_table(run.path, key, table, {kept_returns.LEFT_OUT: said})
    assert Returns(run, 1, EPISODES).left_out == {}
    assert BEFORE in Returns(run, 1, EPISODES)


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"policy": [BEFORE] * 7, "value": [0.0] * 7}),
        pa.table({"policy": [BEFORE] * 8 + [AFTER] * 4, "value": [0.0] * 12}),
        pa.table({"policy": [BEFORE] * 8 + ["half the epochs, 1"] * 8, "value": [0.0] * 16}),
        pa.table({"policy": [BEFORE] * 8, "value": [0] * 8}),
        pa.table({"policy": [BEFORE] * 8}),
        pa.table({"policy": [BEFORE] * 8, "value": [None, *[0.0] * 7]}),
    ],
)
def test_a_foreign_cache_is_none(run: Run, table: pa.Table) -> None:
    key = kept_returns._key(run, 1, EPISODES)
    assert key is not None
    assert save_table(run.path, key, table)
    assert BEFORE not in Returns(run, 1, EPISODES)


def test_a_damaged_cache_is_none(run: Run) -> None:
    Returns(run, 1, EPISODES).keep(BEFORE, np.arange(8.0))
    (file,) = (run.path / "derived").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert BEFORE not in Returns(run, 1, EPISODES)
