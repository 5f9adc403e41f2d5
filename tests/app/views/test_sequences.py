"""The page Sequences, without a browser: texts, tokens, groups, basket, and what other trainers wrote down."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from language_runs import write_run
from languages import record_language
from pages import Open, errors, listed, pick, press, tick, words
from streamlit.testing.v1 import AppTest
from trainer_dumps import trl, verl

import engine
from app.records.basket import drop_list
from app.shell.sequence_columns import BASKET, sequences_table
from engine.arguments import record_numbers
from engine.intervention.record_sets import change_basket, read_sets
from engine.jobs.calculate import calculate
from engine.jobs.calculations import Calculation
from engine.jobs.interventions import list_jobs
from engine.jobs.questions import Validate
from engine.jobs.work import work
from engine.kinds.language.sequences import SequenceBuffer


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequences")
    write_run(folder / "talk", 240)
    write_run(folder / "groups", 24, group_size=4)
    trl(folder / "trl" / "completions", 5)
    verl(folder / "verl" / "rollouts", 1)
    return folder


def buffer(runs: Path, run: str = "talk", round: int = 1) -> SequenceBuffer:
    return engine.open_run(runs / run).snapshot(round).buffer


def strip(app: AppTest) -> dict[str, Any]:
    """The bars of the token strip."""
    [spec] = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart") if "hovertext" in chart.proto.spec]
    return dict(spec["data"][0])


def test_the_page_opens_with_a_language_run_and_lists_its_texts(open_page: Open, runs: Path) -> None:
    app = open_page("sequences", run="talk", round="1")
    assert errors(app) == []
    expected, table = buffer(runs), listed(app)
    assert table["response"].tolist() == expected.response[:100]
    assert table["prompt"].tolist() == expected.prompt[:100]
    last = expected.start[1:] - 1
    np.testing.assert_allclose(table["advantage"], expected.advantage[last][:100])
    np.testing.assert_allclose(table["KL"][0], expected.kl[expected.tokens_of(0)].sum(), rtol=1e-5)
    assert table["length"][0] == expected.mask[expected.tokens_of(0)].sum()
    assert "**240** sequences" in words(app)


def test_search_and_order_are_about_all_pages(open_page: Open, runs: Path) -> None:
    app = open_page("sequences", run="talk", round="1")
    app.text_input(key="sequence_search").set_value("A FOOL").run()
    expected = [i for i, text in enumerate(buffer(runs).response) if "a fool" in text]
    assert listed(app)["record"].tolist() == expected
    assert f"**{len(expected)}** of 240" in words(app)
    assert app.query_params["sequence_search"] == "A FOOL"
    app.text_input(key="sequence_search").set_value("nobody says this").run()
    assert "No sequence fits" in words(app)
    app = open_page("sequences", run="talk", round="1", sort="KL", order="highest first", list_page="3")
    kl = sequences_table(buffer(runs)).column("KL").to_numpy()
    assert listed(app)["record"].tolist() == np.argsort(-kl, kind="stable")[200:].tolist()


def test_the_chosen_response_is_a_strip_of_its_tokens(open_page: Open, runs: Path) -> None:
    app = open_page("sequences", run="talk", round="1", record="7")
    expected, bars = buffer(runs), strip(app)
    here = np.arange(*expected.tokens_of(7).indices(10**9)[:2])[expected.mask[expected.tokens_of(7)]]
    assert [text for text in bars["text"] if text != "&lt;eos&gt;"] == expected.response[7].split()
    assert len(bars["text"]) == len(here)
    assert f"advantage {expected.advantage[here[0]]:+.4g}" in bars["hovertext"][0]
    assert f"entropy {expected.entropy[here[-1]]:+.4g}" in bars["hovertext"][-1]
    assert expected.prompt[7] in words(app)
    press(app, "listed_after", "listed_after", "listed_after", "listed_before")
    assert app.session_state["record"] == 9, "every press counts"
    assert errors(app) == []


def test_ticked_sequences_go_into_the_basket_and_out_as_a_drop_list(
    open_page: Open,
    runs: Path,
    tmp_path: Path,
) -> None:
    run = engine.open_run(runs / "talk")
    app = open_page("sequences", run="talk", round="0")
    app = tick(app, "sequences_table", 3, 5)
    assert read_sets(run, 0).selection == [3, 5]
    assert app.session_state["record"] == 5
    app.button(key="add_to_basket").click().run()
    assert read_sets(run, 0).basket == [3, 5]
    assert "2 records" in words(app)
    press(app, "undo")
    assert read_sets(run, 0).basket == []
    (tmp_path / "drop.txt").write_text(drop_list([5, 3]))
    assert record_numbers(tmp_path / "drop.txt") == [3, 5]
    change_basket(run, 0, add=[9, 11])
    app = open_page("sequences", run="talk", round="0", only=BASKET)
    assert listed(app)["record"].tolist() == [9, 11]
    change_basket(run, 0, remove=None)


def test_members_of_a_group_stand_side_by_side(open_page: Open, runs: Path) -> None:
    app = open_page("sequences", run="groups", round="1", record="6")
    expected = buffer(runs, "groups")
    assert "Responses to this prompt: 4" in " ".join(heading.value for heading in app.subheader)
    for record in (4, 5, 6, 7):
        assert app.button(key=f"open_{record}").disabled == (record == 6)
        assert f"reward {expected.reward[record]:+.3g}" in words(app)
    app.button(key="open_4").click().run()
    assert app.session_state["record"] == 4


def test_without_the_extra_tokens_are_numbers_and_the_extra_is_named(
    open_page: Open,
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(runs / "talk", tmp_path / "plain")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    app = open_page("sequences", tmp_path, run="plain", round="1", record="7")
    assert errors(app) == []
    assert "pip install 'snapshot-influence[rlhf]'" in words(app)
    assert listed(app)["response"].tolist() == buffer(runs).response[:100]
    expected = buffer(runs)
    ids = expected.token[expected.tokens_of(7)][expected.mask[expected.tokens_of(7)]]
    assert strip(app)["text"] == [str(number) for number in ids]


def test_recorded_texts_need_no_tokenizer(open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "told", 10, version=4)
    shutil.rmtree(tmp_path / "told" / "model")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    app = open_page("sequences", tmp_path, run="told", round="1", record="7")
    assert errors(app) == []
    [*words, end] = strip(app)["text"]
    assert (words, end) == (buffer(tmp_path, "told").response[7].split(), "&lt;eos&gt;")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run whose checkpoints are real, tiny models."""
    folder = tmp_path_factory.mktemp("trained")
    record_language(tmp_path_factory.mktemp("models"), "tiny").path.rename(folder / "tiny")
    return folder


def test_influence_is_the_engines(open_page: Open, trained: Path) -> None:
    app = open_page("sequences", trained, run="tiny", round="1", estimator="first_order")
    [target] = [group for group in app.get("button_group") if group.proto.id.endswith("-target")]
    assert [option.content for option in target.proto.options] == [
        "sequence",
        "return, by this round's advantages",
        "an action",
    ]
    assert errors(app) == []
    snapshot = engine.open_run(trained / "tiny").snapshot(1)
    expected = engine.influence(snapshot, "sequence", cache=False)
    table, worst = listed(app), int(expected.influence.argmin())
    assert table["record"].tolist() == np.argsort(expected.influence, kind="stable").tolist(), "the worst first"
    np.testing.assert_allclose(table["influence"], np.sort(expected.influence), rtol=1e-5)
    assert app.session_state["record"] == worst
    assert f"rank {len(table)} of {len(table)}" in words(app)
    assert "first_order, sequence target over regenerated validation prompts · recorded minibatch order" in words(app)
    assert " · round 1 · seed 0" in words(app)
    tokens = expected.token_influence[snapshot.buffer.tokens_of(worst)][
        snapshot.buffer.mask[snapshot.buffer.tokens_of(worst)]
    ]
    assert [text.split("<br>")[1].split(", ")[0] for text in strip(app)["hovertext"]] == [
        f"influence {i:+.4g}" for i in tokens
    ]
    app.button(key="compute").click().run()
    assert [toast.value for toast in app.toast] == ["Computed again: the same numbers."]


def test_asking_why_it_said_this(open_page: Open, trained: Path) -> None:
    snapshot = engine.open_run(trained / "tiny").snapshot(1)
    first = int(np.flatnonzero(snapshot.buffer.mask[snapshot.buffer.tokens_of(3)])[0])
    app = open_page("sequences", trained, run="tiny", round="1", record="3", estimator="first_order")
    app = pick(app, "token_strip", first)
    app.button(key="ask_about_tokens").click().run()
    assert errors(app) == []
    assert f"action target, record 3, token {first} ·" in words(app)
    target = engine.action_target(snapshot, record=3, tokens=(first, first))
    expected = engine.influence(snapshot, target, cache=False).influence
    np.testing.assert_allclose(listed(app)["influence"], np.sort(expected), rtol=1e-5)
    assert app.query_params["about"] == "3"


@pytest.mark.slow
def test_whether_it_can_be_trusted_is_measured_by_removing_sequences(
    open_page: Open, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained / "tiny", tmp_path / "tiny")
    started: list[object] = []
    monkeypatch.setattr(Calculation, "start", lambda self: started.append(self.question))
    app = open_page("sequences", tmp_path, run="tiny", round="1")
    assert "trust: not measured" in words(app)
    app.button(key="trust_check").click().run()
    monkeypatch.undo()
    [asked] = started
    assert isinstance(asked, Validate)
    assert (asked.round, asked.estimators) == (1, ("first_order", "tracin", "tracin_adam", "replay_gradient"))
    run = engine.open_run(tmp_path / "tiny")
    calculate(run, replace(asked, subsets=4, orders=2), lambda *_: None)
    app = open_page("sequences", tmp_path, run="tiny", round="1")
    assert "trust: LDS" in words(app)


def test_retraining_without_the_basket_ends_on_compare(
    open_page: Open, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained / "tiny", tmp_path / "tiny")
    run = engine.open_run(tmp_path / "tiny")
    started: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: started.append(command))
    monkeypatch.setattr(st, "switch_page", lambda *_, **__: None)
    app = open_page("sequences", tmp_path, run="tiny", round="0", estimator="first_order")
    worst = listed(app)["record"].tolist()[:3]
    app = tick(app, "sequences_table", 0, 1, 2)
    app.button(key="add_to_basket").click().run()
    app.button(key="retrain").click().run()
    app.number_input(key="orders").set_value(2)
    app.number_input(key="episodes").set_value(8)
    app.button(key="retrain_confirm").click().run()
    assert errors(app) == []
    [job] = list_jobs(run)
    assert job.plan.removed == tuple(sorted(worst))
    assert (job.plan.measured.target, job.plan.orders, job.plan.episodes) == ("sequence", 2, 8)
    assert [command[1:4] for command in started] == [["-m", "engine.jobs", str(job.folder)]]
    assert [command[4] for command in started] == ["--lock"], "and nothing that could be loaded"
    expected = engine.influence(run.snapshot(0)).influence[worst].sum()
    assert job.metadata["summed_influence"] == pytest.approx(float(expected), rel=1e-5)

    engine.influence(run.snapshot(0), "sequence", "tracin_adam")
    result = work(job.folder)
    app = open_page("interventions", tmp_path, run="tiny")
    assert errors(app) == []
    assert "Round 0 without 3 records" in words(app)
    assert "mode mask, 2 minibatch orders, 8 responses per arm" in words(app)
    app = open_page("compare", tmp_path, run="tiny", iv=job.id)
    assert errors(app) == []
    assert f"**{result['verdict']}**" in words(app) + " ".join(box.value for box in (*app.success, *app.warning))
    assert "8 responses per arm" in words(app)
    removed = next(frame.value for frame in app.dataframe if "response" in frame.value.columns)
    assert removed["response"].tolist() == [run.snapshot(0).buffer.response[i] for i in sorted(worst)]
    assert any("tracin_adam" in chart.proto.spec for chart in app.get("plotly_chart")), "predicted beside actual"


def test_removing_every_sequence_is_refused_in_one_line(open_page: Open, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "tiny", tmp_path / "tiny")
    run = engine.open_run(tmp_path / "tiny")
    change_basket(run, 0, add=range(12))
    app = open_page("sequences", tmp_path, run="tiny", round="0")
    app.button(key="retrain").click().run()
    app.button(key="retrain_confirm").click().run()
    assert "all 12 records would be removed" in errors(app)[0]
    assert list_jobs(run) == []


def test_without_the_extra_there_is_no_influence_and_the_rest_works(
    open_page: Open, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained / "tiny", tmp_path / "plain", ignore=shutil.ignore_patterns("derived"))
    for package in ("transformers", "tokenizers"):
        monkeypatch.setitem(sys.modules, package, None)
    app = open_page("sequences", tmp_path, run="plain", round="1")
    assert errors(app) == []
    assert "No influence here" in words(app)
    assert "pip install 'snapshot-influence[rlhf]'" in words(app)
    assert "influence" not in listed(app).columns
    app = tick(app, "sequences_table", 2)
    app.button(key="add_to_basket").click().run()
    assert read_sets(engine.open_run(tmp_path / "plain"), 1).basket == [2]


@pytest.mark.parametrize(("run", "step", "trainer"), [("trl/completions", "5", "TRL"), ("verl/rollouts", "1", "verl")])
def test_other_trainers_files_are_for_looking_only(open_page: Open, run: str, step: str, trainer: str) -> None:
    app = open_page("sequences", run=run, round=step, record="2")
    assert errors(app) == []
    [line] = [info.value for info in app.info]
    assert line.startswith(f"View only: {trainer}")
    assert "no influence" in line
    table = listed(app)
    assert len(table) == 4
    assert table["response"][2] in words(app)
    assert "Responses to this prompt: 2" in " ".join(heading.value for heading in app.subheader)
    assert {"add_to_basket", "retrain"}.isdisjoint(button.key for button in app.button)
    app = tick(app, "sequences_table", 1)
    assert app.session_state["record"] == 1


def test_what_was_chosen_on_behaviour_is_no_sequence(open_page: Open, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "tiny", tmp_path / "tiny")
    engine.train(engine.preset("CartPole-v1", "default", rounds=1, n_steps=64), tmp_path / "pole")
    app = open_page("behaviour", tmp_path, run="pole", record="0:7")
    app.session_state["target"] = "action"
    app.query_params.clear()
    app.switch_page("views/sequences.py").run()
    app.selectbox(key="run").set_value("tiny").run()
    assert errors(app) == []
    assert len(listed(app)) == 12


def test_a_damaged_file_of_another_trainer_is_one_line(open_page: Open, tmp_path: Path) -> None:
    (tmp_path / "rollouts").mkdir()
    (tmp_path / "rollouts" / "3.jsonl").write_text('{"input": "a"}\n')
    [line] = errors(open_page("sequences", tmp_path, run="rollouts"))
    assert "line 1 has no output" in line


def test_a_control_tasks_run_leads_to_language_runs(open_page: Open, runs: Path, tmp_path: Path) -> None:
    engine.train(engine.preset("CartPole-v1", "default", rounds=1, n_steps=64), tmp_path / "pole")
    app = open_page("sequences", tmp_path, run="pole")
    assert errors(app) == []
    assert "python -m engine rlhf courtesy" in words(app)
    shutil.copytree(runs / "groups", tmp_path / "talk")
    app = open_page("sequences", tmp_path, run="pole")
    assert "Open talk" in [link.proto.label for link in app.get("page_link")]
    app = open_page("sequences", tmp_path)
    assert app.selectbox(key="run").value == "talk", "a newcomer sees sequences"
