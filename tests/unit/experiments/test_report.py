"""The page of a campaign: its findings, the paper's numbers beside ours, and nothing from elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from made_up_results import BETTER, LAKE, PPO, campaign, results

from engine.experiments.findings import findings, on_a_busier_machine
from engine.experiments.plans import EXPERIMENTS
from engine.experiments.report import render, write_report
from engine.experiments.results import SCHEMA, begin
from engine.experiments.summary import summary


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
    for figure in ("34.0 ± 2.0 %", "19.2 %", "29.5 %", "paper: iif 0.5", "ppo against ppo"):
        assert figure in text
    assert "The paper's figures (Fig. 6) are of the same training, but for: 6 rounds, where the paper has 30." in text
    assert "3 seeds, 6 rounds of 2048 records. Evaluated after each round: the expected return" in text
    assert "Preset paper: sgd 0.005, no gradient clip" in text
    assert "Rounds needed (SE_sym): fewer than PPO: iif 0.5, guarded 1; within noise: iif 0.25, random." in text
    assert "PPO against another seed of PPO reads -" in text
    assert "Planned are 30 rounds." in text
    assert "Final return: above PPO: iif 0.5, guarded 1; below PPO: random; within noise: iif 0.25." in text
    assert "IIF, choice of p by SE_sym: 0.5 (0.25: 0.0%, 0.5:" in text
    assert "random: 3 of 3 seeds end below PPO's worst seed." in text
    assert "The random filter is not clearly worse" not in text
    assert "Fewer than five seeds" in text


def test_the_papers_figures_stand_only_beside_training_like_its_own() -> None:
    """Version 0.1 set its figures for SGD beside runs with Adam; the settings decide, whatever a campaign says."""
    adam = begin(EXPERIMENTS["acrobot"].changed(["ppo", "iif 0.5"], 6, preset="v0.1"))
    rows = results("acrobot", {"ppo": PPO, "iif 0.5": BETTER})
    text = re.sub(
        r"\s+", " ", Page(render(campaign(part := replace(rows, config=adam.config)), summary(campaign(part)))).text
    )
    assert "36.7" not in text
    assert "paper: iif" not in text
    assert "36.7 ± 6.5 %" in Page(render(campaign(rows), summary(campaign(rows)))).text


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
