"""The study of faithfulness: its cells, that it continues, and what its report counts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from engine.core.faithfulness.measure import Measurement, validate_targets
from engine.core.targets.of_records import return_target
from engine.errors import BadInputError
from engine.executors import INLINE
from engine.experiments import faithfulness
from engine.experiments.faithfulness import SCHEMA, Scale, chosen_targets, study
from engine.experiments.faithfulness_report import reached, read_study, render_study, write_study_report
from engine.store.read import open_run

SMALL = Scale(subsets=4, orders=2, fractions=(0.5, 0.1), action_targets=2)
ESTIMATORS = ("first_order", "tracin")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three rounds of FrozenLake, of which one fraction was measured again."""
    folder = tmp_path_factory.mktemp("study")
    plan = faithfulness.EXPERIMENTS["frozenlake"]
    small = dataclasses.replace(plan, settings={"n_steps": 128, "n_epochs": 2, "hidden": (8,)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faithfulness, "EXPERIMENTS", {"frozenlake": small})
        for scale in (SMALL, dataclasses.replace(SMALL, fractions=(0.5,))):
            study(
                "frozenlake",
                folder / "out",
                folder / "runs",
                scale,
                rounds=3,
                estimators=ESTIMATORS,
                executor="inline",
                command="python -m engine faithfulness frozenlake" + (" --fraction 0.5" if scale != SMALL else ""),
            )
    return folder


@pytest.mark.long
def test_a_cell_is_a_stage_a_target_and_a_fraction(finished: Path) -> None:
    table = pq.read_table(finished / "out" / "frozenlake.parquet")
    assert table.schema.equals(SCHEMA)
    rows = table.to_pylist()
    run = open_run(finished / "runs" / "frozenlake-3")
    for stage, round in (("early", 0), ("middle", 1), ("late", 2)):
        targets = chosen_targets(run.snapshot(round), SMALL.action_targets)
        for fraction in SMALL.fractions:
            cell = [row for row in rows if row["stage"] == stage and row["fraction"] == fraction]
            assert [row["record"] for row in cell] == [record for record in targets for _ in ESTIMATORS]
            assert {row["round"] for row in cell} == {round}
            assert [row["target"] for row in cell] == [
                "action" if row["record"] is not None else "return" for row in cell
            ]


def test_a_cell_stays_until_it_is_measured_again(finished: Path) -> None:
    rows = read_study(finished / "out")
    assert {(row["fraction"], "--fraction" in row["command"]) for row in rows} == {(0.5, True), (0.1, False)}


def test_the_return_is_a_target_of_every_round_and_the_records_are_drawn_anew(finished: Path) -> None:
    run = open_run(finished / "runs" / "frozenlake-3")
    drawn = [tuple(chosen_targets(run.snapshot(k), 5)) for k in range(3)]
    assert all(records[0] is None and len(records) > 1 for records in drawn)
    assert len(set(drawn)) == 3
    assert drawn[0] == tuple(chosen_targets(run.snapshot(0), 5))


def test_what_was_replayed_is_not_replayed_again(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run(finished / "runs" / "frozenlake-3")

    def never(*_: Any) -> Any:
        raise AssertionError("replayed again")

    monkeypatch.setattr("engine.core.replays.many.run_replays", never)
    found = validate_targets(
        run.snapshot(1), [return_target(run.snapshot(1))], Measurement(subsets=4, orders=2), ESTIMATORS, pool=INLINE
    )
    rows = read_study(finished / "out")
    (row,) = (
        row
        for row in rows
        if (row["round"], row["target"], row["fraction"], row["estimator"]) == (1, "return", 0.5, "tracin")
    )
    assert row["lds"] == pytest.approx(found[0].estimators["tracin"].lds, nan_ok=True)


def row(estimator: str, lds: float | None, ceiling: float | None, stage: str = "early") -> dict[str, Any]:
    """A row of a made-up study."""
    about = {"experiment": "x", "env_id": "X-v0", "stage": stage, "round": 1, "target": "return", "record": None}
    figures = {
        "fraction": 0.5,
        "subsets": 64,
        "orders": 16,
        "low": -1.0,
        "high": 1.0,
        "verdict": "predicts",
        "command": "",
    }
    return {**about, **figures, "estimator": estimator, "lds": lds, "ceiling": ceiling}


def test_an_estimator_reaches_a_cell_from_four_fifths_of_its_ceiling() -> None:
    early = [row("first_order", 0.79, 1.0), row("tracin", 0.4, 0.5)]
    late = [row("first_order", None, 0.9, "late"), row("tracin", 0.1, 0.9, "late")]
    assert reached([early, late]) == (1, 2)
    assert reached([early, late], "first_order") == (0, 2)
    assert reached([early, late], "tracin") == (1, 2)
    assert reached([early, late], "replay_gradient") == (0, 0)


def test_cells_of_noise_are_shown_and_not_counted() -> None:
    noise = [row("first_order", 0.1, 0.2, "middle"), row("tracin", 0.2, None, "late")]
    text = render_study([row("first_order", 0.9, 1.0), *noise])
    assert "| the best of each cell | 1 of 1 |" in text
    assert "| `first_order` | 1 of 1 | 1 |" in text
    assert text.count("| X-v0 | 1 | return | 50% | 64 x 16 |") == 3


def test_the_report_has_every_cell_and_the_command(finished: Path) -> None:
    text = write_study_report(finished / "out").read_text()
    assert text.count("| FrozenLake-v1 |") >= len(read_study(finished / "out"))
    assert "python -m engine faithfulness frozenlake" in text


def test_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="holds no study; make one with"):
        read_study(tmp_path)


def test_an_unknown_experiment_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="unknown experiment 'nothing'; there are frozenlake"):
        study("nothing", tmp_path, tmp_path)
