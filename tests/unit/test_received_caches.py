"""What came with a run in its `derived/` and isn't what this engine keeps there is computed anew, never an error."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import engine
from engine.analysis.behaviour import influence_by_action, policy_curve
from engine.analysis.films import film
from engine.analysis.formation import formation
from engine.analysis.rollout_advantages import kept_estimates, monte_carlo
from engine.core.draws import random_removals
from engine.core.faithfulness.kept_validations import keep_validation, read_validation
from engine.core.faithfulness.measured_rounds import measured_rounds, note_measured
from engine.core.faithfulness.result import Faithfulness, Validation
from engine.core.replays.many import replays
from engine.core.targets.of_records import action_target, return_target
from engine.store.derived import save_table
from engine.store.read import Run

pytestmark = pytest.mark.long

Change = Callable[[pa.Table], pa.Table]


def _each(change: Callable[[pa.Array], pa.Array]) -> Change:
    return lambda table: pa.table(
        {name: change(table[name]) for name in table.column_names}, metadata=table.schema.metadata
    )


def _texts(text: str) -> Change:
    """The same text in every cell that is a text."""
    return _each(lambda column: pa.array([text] * len(column)) if pa.types.is_string(column.type) else column)


TEXTS = ("", "null", '"x"', "[]", "[1, 2, 3]", '["a", "b"]', "{}", '{"round": "x"}', "7")
OTHERS: dict[str, Change] = {
    "no such columns": lambda table: table.rename_columns([f"other {name}" for name in table.column_names]),
    "columns are missing": lambda table: table.select(table.column_names[:1]),
    "no rows": lambda table: table.slice(0, 0),
    "texts": _each(lambda column: pa.array(["x"] * len(column))),
    "numbers": _each(lambda column: pa.array([7] * len(column))),
    "lists": _each(lambda column: pa.array([[1.0, 2.0]] * len(column))),
    "nulls": _each(lambda column: pa.array([None] * len(column), column.type)),
    **{f"the text {text}": _texts(text) for text in TEXTS},
}


def _scores(run: Run) -> Any:
    found = engine.influence(run.snapshot(1), "return", "tracin", by_layer=True)
    return found.influence.tolist(), {name: part.tolist() for name, part in found.layers.items()}


def _replays(run: Run) -> Any:
    snapshot = run.snapshot(1)
    return replays(snapshot, [return_target(snapshot)], random_removals(snapshot, 0.5, 2), 1).tolist()


def _estimates(run: Run) -> Any:
    snapshot = run.snapshot(1)
    kept_estimates(snapshot, 2)
    return monte_carlo(snapshot, [3], 2, executor="inline").advantage.tolist()


def _film(run: Run) -> Any:
    found = film(run, 1, 5)
    return found.step.tolist(), found.pictures, found.ended, found.complaint


def _policy(run: Run) -> Any:
    every = policy_curve(run, action_target(run.snapshot(1), record=3))
    list(every)
    return every.in_order


def _by_action(run: Run) -> Any:
    every = influence_by_action(run)
    list(every)
    return every.in_order


def _formation(run: Run) -> Any:
    every = formation(run, action_target(run.snapshot(1), record=3))
    list(every)
    return every.in_order


def _measured(run: Run) -> Any:
    note_measured(run.snapshot(1), "return")
    return measured_rounds(run.path, "return")


ANSWERS = (_measured, _scores, _replays, _estimates, _film, _policy, _by_action, _formation)


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory, cartpole: Run) -> dict[str, tuple[Path, Any]]:
    """Answer -> a run whose cache has it and nothing else, and what it is."""
    found = {}
    for answer in ANSWERS:
        path = tmp_path_factory.mktemp("received") / "run"
        shutil.copytree(cartpole.path, path, ignore=shutil.ignore_patterns("derived"))
        found[answer.__name__] = path, answer(engine.open_run(path))
    return found


def replaced(run: Path, change: Change) -> None:
    """Put other tables in the place of all that is kept, under the names of sound ones."""
    kept = list((run / "derived").glob("*.parquet"))
    assert kept
    for path in kept:
        table = change(pq.read_table(path))
        metadata = {name.decode(): value.decode() for name, value in (table.schema.metadata or {}).items()}
        assert save_table(run, path.name.partition("-")[0], table, metadata)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.__name__.strip("_"))
@pytest.mark.parametrize("others", OTHERS)
def test_another_table_is_as_good_as_none(
    answered: dict[str, tuple[Path, Any]], answer: Callable[[Run], Any], others: str, tmp_path: Path
) -> None:
    path, expected = answered[answer.__name__]
    shutil.copytree(path, tmp_path / "run")
    replaced(tmp_path / "run", OTHERS[others])
    np.testing.assert_equal(answer(engine.open_run(tmp_path / "run")), expected)


VALIDATION = Validation(
    round=1, target={"target": "return"}, snapshot_hash="0", design="random", fraction=0.5, subsets=2, orders=1,
    estimators={"first_order over 8 orders": Faithfulness(0.5, 0.1, 0.9, 1.0, 0.5, (1.0, 2.0))},
    ceiling=None, ceiling_low=None, ceiling_high=None, actual=(1.0, 2.0), actual_error=(0.1, 0.1),
    null_exact=True, null_difference=0.0, fingerprint_equal=True, metasmoothness=1.0, seconds=1.0, created=1.0,
)  # fmt: skip


@pytest.fixture
def validated(tmp_path: Path, cartpole: Run) -> Run:
    shutil.copytree(cartpole.path, tmp_path / "run", ignore=shutil.ignore_patterns("derived"))
    run = engine.open_run(tmp_path / "run")
    snapshot = run.snapshot(1)
    keep_validation(snapshot, return_target(snapshot), VALIDATION)
    np.testing.assert_equal(read_validation(snapshot, "return"), VALIDATION)
    return run


@pytest.mark.parametrize("others", sorted(OTHERS.keys() - {"columns are missing"}))  # it has a single one
def test_another_validation_is_as_good_as_none(validated: Run, others: str) -> None:
    replaced(validated.path, OTHERS[others])
    assert read_validation(validated.snapshot(1), "return") is None


@pytest.mark.parametrize(
    ("found", "other"),
    [
        ('"lds": 0.5', '"lds": "high"'),
        ('"subsets": 2', '"subsets": "x"'),
        ('"subsets": 2', '"subsets": 3'),
        ('"created": 1.0', '"created": null'),
        ('"fraction": 0.5', '"fraction": [0.5]'),
        ('"actual": [1.0, 2.0]', '"actual": [1.0, "2.0"]'),
        ("first_order over 8 orders", "first_order over many orders"),
        ("first_order over 8 orders", "first_order over "),
        ('"target": "return"', '"target": 5'),
    ],
)
def test_a_validation_of_other_types_is_as_good_as_none(validated: Run, found: str, other: str) -> None:
    def change(table: pa.Table) -> pa.Table:
        if "validation" not in table.column_names:
            return table
        [text] = table["validation"].to_pylist()
        assert found in text
        return pa.table({"validation": [text.replace(found, other)]})

    replaced(validated.path, change)
    assert read_validation(validated.snapshot(1), "return") is None
