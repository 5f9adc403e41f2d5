"""A folder of runs, files of other trainers and a campaign that a stranger made: all that they say is hostile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
from language_runs import write_run

import engine
from engine.analysis.rollout_advantages import ROLLOUTS
from engine.core.targets.question import TargetName
from engine.intervention.notes import write_note
from engine.intervention.plan import Intervention
from engine.intervention.record_sets import change_basket, save_group
from engine.jobs.calculations import Calculation
from engine.jobs.interventions import create_job, predicted
from engine.jobs.questions import Diagnose, Validate
from engine.jobs.work import work
from engine.store import read_json, write_json
from engine.store.commit import RunWriter
from engine.store.manifest import Parent
from engine.store.read import Run
from engine.store.run_notes import RunNotes, change_run_notes

HOST = "elsewhere.invalid"
RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "frozenlake"
LANGUAGE, CONTROL, NAMED = f"lang ![n](https:{HOST}) <b>, :red[x]", "control", "named"


def hostile(tag: str) -> str:
    """Links, pictures, scripts, formats and signs, each recognisable by the tag."""
    return (
        f"![p{tag}](http://{HOST}/{tag}.png) <img src='http://{HOST}/{tag}' onerror='window.owned=1'> **bold{tag}** "
        f"www.{HOST} me@{HOST} http://{HOST}/{tag} [l](javascript:window.owned=1) $\\href{{http://{HOST}}}{{x}}$ "
        f":red[c] :material/home: :smile: -> &amp; `c`\n# head{tag}\n    1. x  y\tz"
    )


STOPPED = "round=1&bottom_view=What+they+were+worth"
"""The rest of an address where calculations say why they stopped."""


def short(tag: str) -> str:
    """As much as fits into a name."""
    return f"![{tag}](http://{HOST}) **b{tag}**"


def write_hostile_runs(folder: Path, trained: Run, below: str = "") -> list[str]:
    """Write them into the folder; addresses of the pages on which they are seen.

    Args:
        folder: to be filled.
        trained: a small run of CartPole, whose numbers they borrow.
        below: what comes before the runs' names in an address, if the app's folder is one above.
    """
    job = _control(folder / CONTROL, trained)
    _named(folder / NAMED, trained)
    _language(folder / LANGUAGE)
    _dumps(folder)
    _campaign(folder / "campaign" / "frozenlake")
    control, named, language = (quoted(below + name) for name in (CONTROL, NAMED, LANGUAGE))
    return [
        "/",
        f"/timeline?run={control}",
        f"/timeline?run={named}",
        f"/diagnose?run={control}&round=1&target=action&bottom_view=Where+they+were+made",
        f"/diagnose?run={control}&{STOPPED}",
        f"/diagnose?run={named}&round=1",
        f"/autopsy?run={named}&round=1",
        f"/behaviour?run={control}&record=1:3",
        f"/interventions?run={control}",
        f"/compare?run={control}&iv={job}",
        f"/compare_runs?runs={control},{named}",
        f"/sequences?run={language}&record=3",
        f"/timeline?run={language}",
        f"/autopsy?run={language}&round=1",
        f"/sequences?run={below}trl",
        f"/sequences?run={below}verl",
        f"/experiments?campaign={below}campaign",
        f"/diagnose?run={quoted(hostile('url'))}&estimator={quoted(hostile('estimator'))}",
    ]


def quoted(text: str) -> str:
    """For an address."""
    return quote(text, safe="")


def _rewritten(path: Path, trained: Run, **manifest: Any) -> Run:
    """The run's rounds under another manifest."""
    described = replace(trained.manifest, **manifest)
    spaces = {name: getattr(described, name) for name in ("observation_space", "action_space")}
    with RunWriter.create(path, described) as writer:
        for number in trained.stored_rounds:
            snapshot = trained.snapshot(number)
            writer.commit_round(
                replace(snapshot, config=described.config, **spaces), {**snapshot.metrics, "note": hostile("metric")}
            )
        assert trained.final is not None
        writer.commit_final(trained.final.round, trained.checkpoint(trained.final.round))
    return engine.open_run(path)


def _control(path: Path, trained: Run) -> str:
    """A run with hostile names, groups, and interventions; the id of the finished one."""
    space = trained.manifest.action_space
    run = _rewritten(
        path,
        trained,
        action_space=replace(space, names=tuple(hostile(f"action{i}") for i in range(space.n))),
        observation_space=replace(
            trained.manifest.observation_space, names=tuple(hostile(f"seen{i}") for i in range(4))
        ),
        fingerprint={"numpy": hostile("fingerprint")},
    )
    change_run_notes(path, lambda _: RunNotes(short("name"), (f"![tag](http://{HOST})",)))
    save_group(run, 1, short("group"), [1, 2, 3])
    change_basket(run, 1, add=[1, 2])
    plan = Intervention(round=1, removed=(3, 5, 8), orders=2, episodes=4)
    job, _ = create_job(run, run.snapshot(1), plan, predicted(run.snapshot(1), plan))
    work(job.folder)
    write_note(job.folder, hostile("note"))
    rewrite(job.folder / "branch" / "result.json", hostile_result)
    rewrite(job.folder / "intervention.json", lambda said: {**said, "about": {"estimator": hostile("by")}})
    failed = job.folder.with_name("a" * 12)
    shutil.copytree(job.folder, failed, ignore=shutil.ignore_patterns("branch"))
    status = {"state": "failed", "doing": hostile("doing"), "done": 1, "total": 2, "time": 1.0}
    write_json(failed / "status.json", status)
    target = TargetName().plain()
    for question in (Diagnose(round=1, target=target, rollouts=ROLLOUTS), Validate(round=1, target=target)):
        calculation = Calculation(run, question)
        calculation.folder.mkdir(parents=True)
        write_json(calculation.folder / "job.json", {"work": hostile("work"), "question": hostile("question")})
        write_json(calculation.folder / "status.json", status)
    return job.id


def hostile_result(result: dict[str, Any]) -> dict[str, Any]:
    """The result with other names; its figures and verdicts are checked when it is read, and stay."""
    names = {name: hostile(name) for name in ("run", "parent", "env_id")}
    return {**result, **names, "target": {**result["target"], "name": hostile("target")}}


def rewrite(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Put other values into a sealed document, and seal it again."""
    document = read_json(path)
    assert document is not None
    write_json(path, change(document.values))


def _named(path: Path, trained: Run) -> None:
    """A branch of an unknown environment."""
    parent = Parent(hostile("parent"), 1, (1,), hostile("mode"), "0" * 64)
    env_id = hostile("environment")
    _rewritten(path, trained, env_id=env_id, config=replace(trained.config, env_id=env_id), parent=parent)


def _language(path: Path) -> None:
    write_run(path, 12, group_size=4, texts=hostile)


def _dumps(folder: Path) -> None:
    (folder / "trl").mkdir()
    (folder / "verl").mkdir()
    texts = {"prompt": [hostile("p0"), hostile("p1")], "completion": [hostile("c0"), hostile("c1")]}
    pq.write_table(
        pa.table({"step": [1, 1], **texts, short("reward"): [1.0, 2.0], "advantage": [0.1, -0.1]}),
        folder / "trl" / "completions_00001.parquet",
    )
    rows = [{"input": hostile("i"), "output": hostile("o"), "score": 1, short("part"): 1.5}]
    (folder / "verl" / "1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _campaign(folder: Path) -> None:
    folder.mkdir(parents=True)
    shutil.copy(RESULTS / "campaign.json", folder)
    rewrite(folder / "campaign.json", _hostile_campaign)
    shutil.copy(RESULTS / "results.parquet", folder)


def _hostile_campaign(said: dict[str, Any]) -> dict[str, Any]:
    made = [{**each, "command": hostile("command")} for each in said["made"]]
    return {
        **said,
        "experiment": {**said["experiment"], "note": hostile("campaign"), "env_id": hostile("env")},
        "made": made,
    }
