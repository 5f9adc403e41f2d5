"""What a campaign says: the summary's numbers, the report's page, and the command that makes both."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import Command

from engine.experiments.findings import findings, on_a_busier_machine
from engine.experiments.metrics import area, final_return, sample_efficiency
from engine.experiments.plans import EXPERIMENTS, Experiment
from engine.experiments.report import render, write_report
from engine.experiments.results import SCHEMA, Campaign, Results, begin
from engine.experiments.summary import SCHEMA as SUMMARY_SCHEMA
from engine.experiments.summary import per_seed, summary
from engine.terminal import Estimate

PPO = [[0.0, 0.0, 0.2, 0.4, 0.6, 0.6], [0.0, 0.1, 0.2, 0.3, 0.4, 0.5], [0.0, 0.2, 0.1, 0.3, 0.5, 0.4]]
BETTER = [[0.2, 0.6, 0.8, 0.9, 0.9, 0.9], [0.3, 0.7, 0.7, 0.8, 0.9, 0.9], [0.1, 0.5, 0.6, 0.8, 0.9, 1.0]]
WORSE = [[0.0, 0.0, 0.0, 0.1, 0.0, 0.1], [0.0, 0.1, 0.1, 0.0, 0.1, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]


def results(name: str, curves: dict[str, list[list[float]]], planned_seeds: int = 3) -> Results:
    """An experiment with made-up curves, two seconds a round."""
    experiment: Experiment = EXPERIMENTS[name].changed(list(curves), rounds=6)
    rows: list[dict[str, Any]] = []
    for arm, seeds in curves.items():
        for seed, curve in enumerate(seeds):
            for round, value in enumerate(curve, 1):
                row = dict.fromkeys(SCHEMA.names, 0) | {"experiment": name, "arm": arm, "seed": seed, "round": round}
                rows.append(row | {"test_return": value, "seconds": 2, "records": 64, "dropped": 16 * (arm != "ppo")})
    asked = begin(experiment)
    return replace(asked.planned(asked, range(planned_seeds)), table=pa.Table.from_pylist(rows, SCHEMA))


def campaign(*parts: Results) -> Campaign:
    return Campaign(Path("nowhere"), {part.experiment.name: part for part in parts})


LAKE = results("frozenlake", {"ppo": PPO, "iif 0.25": PPO, "iif 0.5": BETTER, "guarded 1": BETTER, "random": WORSE})


def row(table: pa.Table, experiment: str, arm: str) -> dict[str, Any]:
    (found,) = [r for r in table.to_pylist() if (r["experiment"], r["arm"]) == (experiment, arm)]
    return found


def test_the_summary_is_the_metrics_of_the_seeds() -> None:
    table = summary(campaign(LAKE))
    assert table.schema.equals(SUMMARY_SCHEMA)
    assert table["experiment"].unique().to_pylist() == ["frozenlake"], "nothing is averaged over one environment"
    found = row(table, "frozenlake", "iif 0.5")
    savings = [sample_efficiency(a, b) for a, b in zip(PPO, BETTER, strict=True)]
    assert found["se_ave"] == pytest.approx(np.mean([s.ave for s in savings]))
    assert found["se_ave_error"] == pytest.approx(np.std([s.ave for s in savings], ddof=1) / np.sqrt(3))
    assert found["se_peak_median"] == pytest.approx(np.median([s.peak for s in savings]))
    assert found["rt_peak"] == pytest.approx(found["se_peak"]), "every round takes as long"
    assert found["final"] == pytest.approx(np.mean([final_return(c) for c in BETTER])), (
        "of three seeds, none is trimmed"
    )
    assert found["area_gain"] == pytest.approx(np.mean([area(c) for c in BETTER]) - np.mean([area(c) for c in PPO]))
    assert (found["final_better"], found["never"], found["below"], found["dropped"]) == (1, 0, 0, 0.25)
    assert found["final_gain_low"] > 0

    standard = row(table, "frozenlake", "ppo")
    assert (standard["se_ave"], standard["final_gain"], standard["below"], standard["seeds"]) == (None, None, 0, 3)
    worse = row(table, "frozenlake", "random")
    assert worse["never"] == pytest.approx((3 + 4 + 3) / (4 + 6 + 4))
    assert (worse["below"], worse["final_better"]) == (3, 0)
    assert worse["area_gain_high"] < 0
    assert row(table, "frozenlake", "iif 0.25")["se_ave"] == 0


def test_metrics_of_every_seed() -> None:
    table = per_seed(LAKE).to_pylist()
    assert len(table) == 15
    assert (table[0]["arm"], table[0]["seed"], table[0]["se_ave"], table[0]["final"]) == (
        "ppo",
        0,
        None,
        final_return(PPO[0]),
    )
    assert table[3]["levels"] == 4


def test_numbers_do_not_depend_on_what_else_there_is() -> None:
    more = results("acrobot", {"ppo": PPO, "iif 0.5": WORSE})
    alone, together = summary(campaign(LAKE)), summary(campaign(more, LAKE))
    for arm in LAKE.finished:
        assert row(alone, "frozenlake", arm) == row(together, "frozenlake", arm)
    assert summary(campaign(LAKE)).equals(alone)


def test_over_all_environments_scores_are_normalised_by_ppos_range() -> None:
    """The same curves on another scale: the normalised scores are equal, so the mean over both is that of one."""
    scaled = {"ppo": PPO, "iif 0.5": BETTER}
    acrobot = results("acrobot", {arm: [[1000 * x - 500 for x in c] for c in curves] for arm, curves in scaled.items()})
    both = summary(campaign(acrobot, LAKE))
    found = row(both, "all", "iif 0.5")
    assert (found["environments"], found["seeds"]) == (2, 6)
    assert found["final_better"] == 1
    assert found["final"] == pytest.approx(0.9 / 0.6, abs=0.02)  # PPO's best evaluation is 0.6
    assert found["se_ave"] == pytest.approx(row(both, "frozenlake", "iif 0.5")["se_ave"])
    assert row(both, "all", "random")["environments"] == 1


def test_an_unfinished_campaign_has_what_is_there() -> None:
    part = results("frozenlake", {"ppo": PPO[:2], "iif 0.5": BETTER[:1], "random": []}, planned_seeds=5)
    table = summary(campaign(part))
    assert table["arm"].to_pylist() == ["ppo", "iif 0.5"]
    assert row(table, "frozenlake", "iif 0.5")["se_ave_error"] is None
    page = render(campaign(part), table)
    assert "3 of 15 tasks are finished" in page
    assert "Final return: one seed: iif 0.5." in page, "one seed has none"
    assert "Unfinished: frozenlake" in page
    without_ppo = results("frozenlake", {"iif 0.5": BETTER})
    found = row(summary(campaign(without_ppo)), "frozenlake", "iif 0.5")
    assert (found["se_ave"], found["final_gain"], found["below"]) == (None, None, None)
    assert "FrozenLake-v1" in render(campaign(without_ppo), summary(campaign(without_ppo)))


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    acrobot = results("acrobot", {"ppo": PPO, "iif 0.5": BETTER})
    path, table = write_report(replace(campaign(LAKE, acrobot), folder=tmp_path))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "summary.parquet"]
    assert pq.read_table(tmp_path / "summary.parquet").equals(table)
    page = Page(path.read_text())
    assert "http" not in path.read_text()
    names = [tag for tag, _ in page.tags]
    assert not {"script", "link", "img", "iframe", "object"} & set(names)
    assert names.count("svg") == 5
    assert all(attributes["aria-label"] for tag, attributes in page.tags if attributes.get("role") == "img")
    assert "prefers-color-scheme: dark" in path.read_text()
    assert "currentColor" in path.read_text()
    assert "#010203" not in path.read_text()


def test_the_report_shows_the_papers_numbers_beside_ours_and_says_what_is_noise() -> None:
    page = Page(render(campaign(LAKE), summary(campaign(LAKE)))).text
    text = re.sub(r"\s+", " ", page)
    for figure in ("34.0 ± 2.0 %", "19.2 %", "29.5 %"):
        assert figure in text
    assert "3 seeds, 6 rounds of 2048 records, 20 stochastic evaluation episodes after each round." in text
    assert "Planned are 30 rounds." in text
    assert "Final return: above PPO: iif 0.5, guarded 1; below PPO: random; within noise: iif 0.25." in text
    assert "IIF, choice of p by SE_ave: 0.5 (0.25: 0.0%, 0.5:" in text
    assert "random: 3 of 3 seeds end below PPO's worst seed." in text
    assert "The random filter is not clearly worse" not in text
    assert "Fewer than five seeds" in text


def test_times_of_a_busier_machine_are_said_to_be() -> None:
    """A filter may take long, which RT_peak is meant to show; that collecting and updating take longer it is not."""

    def timed(arm: str, seconds: float, filter_seconds: float) -> list[dict[str, Any]]:
        rows = LAKE.table.to_pylist()
        for one in rows:
            if one["arm"] == arm:
                one |= {"seconds": seconds, "filter_seconds": filter_seconds}
        return summary(campaign(replace(LAKE, table=pa.Table.from_pylist(rows, SCHEMA)))).to_pylist()

    assert on_a_busier_machine(timed("guarded 1", 12, 10)) == ""
    assert "RT_peak can't be compared for guarded 1 (3.5 times)" in on_a_busier_machine(timed("guarded 1", 17, 10))
    slow = timed("random", 8, 0)
    assert any("RT_peak can't be compared for random (4.0 times)" in line for line in findings(LAKE, slow))


def test_names_in_a_campaign_are_text_not_markup() -> None:
    bad = "<script>alert(1)</script>"
    made = [{"command": bad, "when": bad, "fingerprint": dict.fromkeys(("python", "numpy", "torch", "gymnasium"), bad)}]
    part = replace(LAKE, made=made, experiment=replace(LAKE.experiment, note=bad, env_id=bad))
    assert "<script" not in render(campaign(part), summary(campaign(part)))


# The command.

SMALL = ("--rounds", 2, "--episodes", 2, "--seeds", 1, "--executor", "inline", "--set", "n_steps=64")


def test_reproduce_prints_the_table_and_where_the_report_is(command: Command, tmp_path: Path) -> None:
    code, out, err = command(
        "reproduce", "FrozenLake-v1", "--arms", "ppo", "IIF  1", *SMALL, "--set", "batch_size=8", "--out", tmp_path
    )
    assert code == 0
    assert "iif 1" in out
    assert out.splitlines()[-1] == f"report: {tmp_path / 'report.html'}"
    assert [line.split(" (")[0] for line in err.splitlines()] == [
        "0 of 2 tasks are finished",
        "frozenlake, ppo, seed 0: task 1 of 2",
        "frozenlake, iif 1, seed 0: task 2 of 2",
    ]
    about = json.loads((tmp_path / "frozenlake" / "campaign.json").read_text())
    assert "reproduce FrozenLake-v1 --arms ppo 'IIF  1' --rounds 2" in about["made"][0]["command"]


def test_reproduce_as_json(command: Command, tmp_path: Path) -> None:
    code, out, _ = command("reproduce", "frozenlake", "acrobot", "--arms", "ppo", *SMALL, "--json", "--out", tmp_path)
    found = json.loads(out)
    assert code == 0
    assert found["report"] == str(tmp_path / "report.html")
    assert [(r["experiment"], r["arm"]) for r in found["summary"]] == [
        ("acrobot", "ppo"),
        ("frozenlake", "ppo"),
        ("all", "ppo"),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lake",), ("'lake'", "frozenlake, acrobot, minigrid, highway, lunarlander, bipedalwalker")),
        (("frozenlake", "--seeds", 0), ("--seeds is 0", "at least 1")),
        (("frozenlake", "--rounds", 0), ("rounds is 0", "at least 1")),
        (("frozenlake", "--episodes", -1), ("episodes is -1", "at least 1")),
        (("frozenlake", "--workers", 0), ("workers is 0", "at least 1")),
        (("frozenlake", "--executor", "threads"), ("'threads'", "inline, processes, ray")),
        (("frozenlake", "--arms", "iif 0.3"), ("'iif 0.3'", "iif 0.125")),
        (
            ("highway", "--arms", "td_error"),
            ("highway has no arm 'td_error'", "ppo, iif 0.5, guarded 0.5, guarded 1, guarded 0.5 tracin_adam, random"),
        ),
        (("frozenlake", "--arms", "ppo", "--set", "gama=1"), ("'gama'",)),
        ((), ("NAME",)),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    command: Command, tmp_path: Path, arguments: tuple[object, ...], words: tuple[str, ...]
) -> None:
    code, out, err = command("reproduce", *arguments, "--out", tmp_path / "out")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    for word in words:
        assert word in err
    assert not (tmp_path / "out").exists()


def test_the_time_left_follows_the_pace_since_the_start() -> None:
    left = Estimate()
    assert left(40, 100, now=1000) == ""  # done before by somebody else
    assert left(40, 100, now=1005) == ""
    assert left(50, 100, now=1010) == ", 50 s left"
    assert left(60, 100, now=1200) == ", 7 min left"
    assert left(100, 100, now=1300) == ""
    assert left(41, 100, now=1000 + 600) == ", 9.8 h left"
