"""The page Runs: what it begins with, which runs it lists, and what people say of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from made_up_metrics import write
from pages import ROOT, Open, errors, tick, words
from streamlit.testing.v1 import AppTest

import engine
from app.runs import doors
from app.runs.listed import listed
from app.shell import loaders
from engine.store.find import find_runs
from engine.store.read import Run
from engine.store.run_notes import RunNotes, change_run_notes, read_run_notes

QUESTIONS = [
    "A round went wrong",
    "It stopped improving, or another seed did better",
    "Why does it act like this?",
    "Show me the example",
]


def links(app: AppTest) -> dict[str, tuple[str, dict[str, str]]]:
    """Label -> address and query of every link that leads somewhere."""
    found = [link.proto for link in app.get("page_link") if not link.proto.disabled]
    return {link.label.strip("*"): (link.page, dict(parse_qsl(link.query_string))) for link in found}


def rows(app: AppTest) -> list[str]:
    return list(app.dataframe[0].value["run"])


def test_runs_lists_the_run_and_hides_its_branches(open_page: Open) -> None:
    app = open_page("runs")
    assert errors(app) == []
    assert rows(app) == ["cartpole"]
    assert app.dataframe[0].value["rounds"].tolist() == [3]
    assert "1 run (hidden: 2 branches)." in words(app)
    app.toggle(key="branches").set_value(True).run()
    assert len(rows(app)) == 3, "the branch and its control"


def test_runs_says_when_nothing_fits(open_page: Open) -> None:
    app = open_page("runs")
    app.text_input(key="search").set_value("nothing like it").run()
    assert "No run matches" in words(app)
    assert "0 runs (hidden: 3 filtered out)." in words(app)


def test_it_begins_with_a_sentence_and_nothing_is_open_until_it_is_opened(open_page: Open) -> None:
    app = open_page("runs")
    assert "Which experiences made your agent behave as it does" in app.markdown[0].value
    assert "is open" not in words(app)
    assert not app.query_params
    app = tick(app, "runs_table", 0)
    assert "cartpole** is open" in words(app)
    assert app.query_params["run"] in ("cartpole", ["cartpole"])
    assert "is open" in words(open_page("runs", run="cartpole"))
    assert "The run 'gone' is not here" in words(open_page("runs", run="gone"))


def test_the_doors_lead_to_the_worst_incident_to_two_seeds_and_to_a_behaviour(open_page: Open, tmp_path: Path) -> None:
    write(tmp_path / "falls", [{}] * 6 + [{"mean_return": 20.0}] * 3)
    write(tmp_path / "less", [{}] * 6 + [{"mean_return": 120.0}] * 3 + [{"mean_return": -500.0, "std_return": 900.0}])
    for seed in (3, 4):
        settings = engine.preset("CartPole-v1", "default", rounds=1, n_steps=64, batch_size=32, n_epochs=1, seed=seed)
        engine.train(settings, tmp_path / f"seed {seed}")
    app = open_page("runs", tmp_path)
    assert errors(app) == []
    found = links(app)
    assert found[QUESTIONS[0]] == ("autopsy", {"run": "falls", "round": "5"})
    view, query = found[QUESTIONS[1]]
    assert (view, sorted(query["runs"].split(","))) == ("compare_runs", ["seed 3", "seed 4"])
    (command,) = [code.value for code in app.code]
    low, high = query["runs"].split(",")
    assert command == f"python -m engine autopsy '{tmp_path / low}' --against '{tmp_path / high}'"
    assert found[QUESTIONS[2]][0] == "behaviour"
    assert QUESTIONS[3] not in found
    assert "The sample runs are not among these" in words(app)
    app = open_page("runs", tmp_path, run="less")
    assert links(app)[QUESTIONS[2]] == ("behaviour", {"run": "less"})


def test_a_door_that_leads_nowhere_says_so(open_page: Open, tmp_path: Path) -> None:
    app = open_page("runs", tmp_path)
    assert errors(app) == []
    assert links(app) == {}
    assert [link.proto.label for link in app.get("page_link")] == [f":gray[**{question}**]" for question in QUESTIONS]
    said = words(app)
    for why in ("No run here has an incident", "No two runs here differ only in their seed", "No run here has records"):
        assert why in said
    assert "python -m engine train" in said


def test_the_example_is_a_sample_run_with_a_removal_that_helped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaders, "run_folders", lambda: [ROOT / "sample_runs"])
    found, left = listed(loaders.runs_by_folder())
    assert left == 0
    door = doors.doors(found, "", ROOT / "sample_runs")[-1]
    assert door.view == "compare"
    job = engine.open_run(ROOT / "sample_runs" / door.query["run"]).path / "interventions" / door.query["iv"]
    assert '"verdict": "helps"' in (job / "branch" / "result.json").read_text()


@pytest.mark.parametrize("incident", [True, False])
def test_without_an_incident_the_largest_fall_is_offered(open_page: Open, tmp_path: Path, incident: bool) -> None:
    write(tmp_path / "noise", [{"std_return": 90.0}] * 6 + [{"mean_return": 160.0, "std_return": 90.0}] * 3)
    if incident:
        write(tmp_path / "stops", [{}, {}, {"approx_kl": None}, {}])
    app = open_page("runs", tmp_path)
    where = {"run": "stops", "round": "2"} if incident else {"run": "noise", "round": "5"}
    assert links(app)[QUESTIONS[0]] == ("autopsy", where)
    assert ("within noise: noise, 200 to 160 at round 6." in words(app)) is not incident


def test_a_run_that_comes_grows_or_goes_is_seen(open_page: Open, runs: Path, tmp_path: Path) -> None:
    app = open_page("runs", tmp_path)
    growing = shutil.copytree(runs / "cartpole", tmp_path / "growing", ignore=shutil.ignore_patterns("interventions"))
    last = sorted((growing / "commits").iterdir())[-1]
    kept = last.read_bytes()
    last.unlink()
    app = open_page("runs", tmp_path)
    app.run()
    assert app.dataframe[0].value["state"].tolist() == ["as of round 2"]
    last.write_bytes(kept)
    app.run()
    assert app.dataframe[0].value["state"].tolist() == ["finished"]
    shutil.rmtree(growing)
    app.run()
    assert errors(app) == []
    assert not app.dataframe


def test_the_folders_are_looked_through_once_for_the_navigation_and_once_for_the_page(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []
    monkeypatch.setattr(loaders, "find_runs", lambda folder: looked.append(folder) or find_runs(folder))
    assert rows(open_page("runs")) == ["cartpole"]
    assert len(looked) == 2


def test_a_run_is_renamed_tagged_and_archived(open_page: Open, shown: Run) -> None:
    folder = shown.path.parent
    shutil.copytree(shown.path, folder / "other", ignore=shutil.ignore_patterns("interventions"))
    app = tick(open_page("runs", folder), "runs_table", 0)
    app.text_input(key="run_name").set_value("  the *good*\n one ").run()
    assert errors(app) == []
    assert read_run_notes(shown.path) == RunNotes("the *good* one")
    assert app.dataframe[0].value["name"].tolist() == ["the *good* one", ""]
    assert open_page("timeline", folder).selectbox(key="run").options[0] == "the *good* one (cartpole)"
    change_run_notes(shown.path, lambda notes: RunNotes(notes.name, ("slow", "keep")))
    app.run()
    assert app.multiselect(key="run_tags").value == ["slow", "keep"], "another tab wrote it"
    app.multiselect(key="run_tags").set_value(["keep"]).run()
    assert read_run_notes(shown.path) == RunNotes("the *good* one", ("keep",))
    app.selectbox(key="tag").set_value("keep").run()
    assert rows(app) == ["cartpole"]
    app.button(key="archive_runs").click().run()
    assert errors(app) == []
    assert read_run_notes(shown.path).archived
    assert rows(app) == []
    assert "0 runs (hidden: 1 archived, 3 filtered out)." in words(app)
    app = open_page("runs", folder, archived="True", search="GOOD")
    assert rows(app) == ["cartpole"]
    app = tick(app, "runs_table", 0)
    assert app.button(key="archive_runs").label == "Take out of the archive"
    app.button(key="archive_runs").click().run()
    assert read_run_notes(shown.path) == RunNotes("the *good* one", ("keep",))


def test_damaged_notes_are_a_line_and_hide_no_run(open_page: Open, shown: Run) -> None:
    change_run_notes(shown.path, lambda _: RunNotes("mine", archived=True))
    path = shown.path / "notes" / "about.json"
    path.write_bytes(path.read_bytes().replace(b"mine", b"nine"))
    app = open_page("runs", shown.path.parent)
    assert errors(app) == []
    assert "cartpole: notes/about.json is damaged" in words(app)
    assert rows(app) == ["cartpole"]
