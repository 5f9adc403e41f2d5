"""Planted against named, counted by hand."""

from __future__ import annotations

import pytest

from engine.experiments.faultlab.cell import Answer, Cell, Failed
from engine.experiments.faultlab.markdown import of_plants
from engine.experiments.faultlab.table import misses, rows, to_json, together

STEPPED = Failed("environment", "environment", "it leads to other rewards from record 3 on")
RATE = Failed("replay", "step", "the replay does not land")


def cells() -> list[Cell]:
    clean = [Answer("nothing", "gross", k, "not real", ()) for k in range(15)]
    alarm = Answer("nothing", "gross", 15, "step", (RATE,))
    caught = Answer("sign", "mild", 15, "environment", (STEPPED,))
    missed = Answer("sign", "mild", 15, "not real", ())
    both = Answer("rate", "gross", 15, "environment", (STEPPED, RATE))
    return [Cell("A", 0, 15, answers=(*clean, caught, both)), Cell("B", 0, 15, answers=(alarm, missed))]


def test_a_row_counts_rounds_right_answers_and_what_came_instead() -> None:
    nothing, sign, rate = rows(cells())
    assert (nothing.rounds, nothing.named.value, nothing.instead) == (16, 15 / 16, {"step": 1})
    assert (sign.form, sign.rounds, sign.named.value, sign.instead) == ("mild", 2, 0.5, {"not real": 1})
    assert sign.named_by_record.value == 0, "only the environment told"
    assert (rate.named.value, rate.instead, rate.named_by_record.value) == (0.0, {"environment": 1}, 1.0)


def test_intervals_are_wilson_s() -> None:
    found = together(cells())
    assert {name: share.value for name, share in found.items()} == {"gross": 0, "mild": 0.5, "false alarms": 1 / 16}
    z, n, share = 1.959964, 16, 1 / 16
    middle, reach = share + z**2 / (2 * n), z * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    wanted = ((middle - reach) / (1 + z**2 / n), (middle + reach) / (1 + z**2 / n))
    assert found["false alarms"][1:] == pytest.approx(wanted, abs=1e-6)


def test_every_wrong_answer_has_a_line() -> None:
    assert list(misses(cells())) == [
        "A, seed 0, round 15: gross rate, named environment (it leads to other rewards from record 3 on; "
        "the replay does not land)",
        "B, seed 0, round 15: nothing, named step (the replay does not land)",
        "B, seed 0, round 15: mild sign, named not real",
    ]


def test_json_has_a_table_an_environment() -> None:
    found = to_json(cells())
    assert found["cells"] == 2
    assert [row["plant"] for row in found["environments"]["B"]] == ["nothing", "sign"]
    assert to_json([])["together"]["gross"] == {"value": None, "low": None, "high": None}


def test_in_markdown() -> None:
    assert list(of_plants(cells())) == [
        "| planted (gross; mild) | right answer | gross named | mild named | by the record alone, gross; mild |",
        "| --- | --- | --- | --- | --- |",
        "| sign (all, a quarter of the steps) | environment | - | 1 of 2 | 0 of 2 |",
        "| rate (x 30, x 3) | step | 0 of 1 | - | 1 of 1 |",
        "",
        "Together: gross 0 % (0 to 79), mild 50 % (9 to 91); by the record alone gross 100 % (21 to 100), mild 0 % (0 to 66).",
        "Of 16 rounds with nothing planted, 1 had a fault named: 6.25 % (1 to 28).",
        "",
        *(f"* {line}" for line in misses(cells())),
    ]
