"""`python -m engine incidents`: what it prints, its JSON, and bad input in one line."""

from __future__ import annotations

from pathlib import Path

from commands import Command, refused
from made_up_metrics import write

SAMPLES = Path(__file__).resolve().parents[3] / "sample_runs"


def test_incidents_for_people(command: Command, tmp_path: Path) -> None:
    fall = [{}] * 5 + [{"approx_kl": 0.4}] + [{"mean_return": 20.0}] * 2
    outcome = command("incidents", write(tmp_path / "run", fall))
    assert outcome.code == 0
    first, *_ = outcome.out.splitlines()
    assert first == "1 incident in 8 rounds"
    text = " ".join(outcome.out.split())
    assert "the return fell from 200 to 20 at round 6" in text
    assert "KL 0.4 in update 5, above 0.1" in text
    assert "the return of round k is played by what update k - 1 made" in text


def test_incidents_as_json(command: Command, tmp_path: Path) -> None:
    path = write(tmp_path / "run", [{}] * 6 + [{"mean_return": 20.0}] * 2)
    found = command("incidents", path, "--json").json
    assert found["run"] == str(path)
    (only,) = found["rounds"]
    assert (only["round"], only["kind"], only["update"]) == (6, "drop", 5)
    assert only["reason"].startswith("the return fell from 200 to 20 at round 6")


def test_a_run_without_an_incident_is_one_line(command: Command) -> None:
    outcome = command("incidents", SAMPLES / "LunarLander-v3")
    assert outcome.code == 0
    (line,) = outcome.out.splitlines()
    assert line.startswith("no incident in 100 rounds; the largest drop, ")
    assert line.endswith(" episodes)")
    assert "is within noise" in line
    found = command("incidents", SAMPLES / "courtesy", "--json").json
    assert (found["rounds"], found["looked_at"], found["too_few"]) == ([], 20, None)


def test_what_can_not_be_told_is_said(command: Command, tmp_path: Path) -> None:
    outcome = command("incidents", write(tmp_path / "one", [{"entropy": None}]))
    assert outcome.out.startswith("no incident in 1 round; too few episodes to tell: 8 episodes ended in 1 round")
    assert "note: nothing is said of a policy that is stuck: no round has entropy" in outcome.out


def test_records_unlike_those_before(command: Command, tmp_path: Path) -> None:
    path = write(tmp_path / "run", [{}] * 18, reward=lambda k: 1.0 if k < 17 else -1.0)
    assert command("incidents", path, "--json").json["rounds"] == []
    outcome = command("incidents", path, "--records", "--json")
    (only,) = outcome.json["rounds"]
    assert (only["round"], only["kind"], only["metrics"]) == (17, "unlike before", ["reward"])
    assert "reading the records" in outcome.err


def test_bad_input(command: Command, tmp_path: Path) -> None:
    refused(command("incidents", tmp_path / "nothing"), "does not exist")
    path = write(tmp_path / "run", [{}] * 3)
    (path / "commits" / "000001.json").write_text("{}")
    refused(command("incidents", path), "000001.json is damaged")
