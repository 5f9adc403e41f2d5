"""`python -m engine runs`, `show` and `verify`: what is recorded, and whether it is whole."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.options import Json, RunFolder, RunsFolder
from engine.errors import BadInputError, DamagedRunError, EngineError
from engine.terminal import print_json, print_table, progress

if TYPE_CHECKING:
    from engine.core.replays.replayed_run import ReplayedRound


CAPABILITIES = ("view", "influence", "replay")
NOTES = ("name", "tags", "archived")
"""What `engine.store.run_notes` keeps."""


def runs(
    directory: RunsFolder,
    archived: Annotated[bool, typer.Option("--archived", help="Also list the runs that were archived.")] = False,
    as_json: Json = False,
) -> None:
    """List the runs under a folder, with the names and tags that people gave them."""
    from engine.store.buckets.mirror import address_of, called
    from engine.store.find import find_runs
    from engine.store.read import open_run
    from engine.store.run_notes import run_notes_or_why
    from engine.store.words import counted

    if not directory.is_dir() and address_of(directory) is None:
        raise BadInputError(f"{directory} is not a folder; name one that holds runs")
    found, complaints = [], []
    for path in find_runs(directory):
        try:
            summary = _summary(open_run(path, indexed=True))
        except EngineError as error:
            complaints.append(f"{called(path)}: {error}")
            continue
        notes, why = run_notes_or_why(path, directory)
        found.append({**summary, **asdict(notes)})
        complaints += [f"{called(path)}: {why}"] if why else []
    if as_json:
        print_json(found)
    elif not found:
        place = called(directory)
        print(f"no runs under {place}; record one with: python -m engine train CartPole-v1 --out {place}/first")
    else:
        _print_runs([run for run in found if archived or not run["archived"]])
        hidden = sum(run["archived"] and not archived for run in found)
        if hidden:
            print(f"{counted(hidden, 'archived run')} not shown; --archived shows all")
    for line in complaints:
        print(line, file=sys.stderr)


def _print_runs(runs: Sequence[Mapping[str, Any]]) -> None:
    """The table; names, tags and the archive are columns where somebody said something."""
    columns: dict[str, Callable[[Mapping[str, Any]], Any]] = {
        "run": lambda run: run["run"],
        "name": lambda run: run["name"],
        "tags": lambda run: ", ".join(run["tags"]),
        "archived": lambda run: "archived" if run["archived"] else "",
        "environment": lambda run: run["env_id"],
        "seed": lambda run: run["config"]["seed"],
        "rounds": lambda run: run["committed_rounds"],
        "final return": lambda run: run["final_return"],
        "parent": lambda run: run["parent"]["run"] if run["parent"] else "",
    }
    said = [title for title in columns if title not in NOTES or any(run[title] for run in runs)]
    print_table(said, [[columns[title](run) for title in said] for run in runs])


def show(run: RunFolder, as_json: Json = False) -> None:
    """Show a run's manifest, rounds and metrics."""
    from engine.store.read import open_run

    opened = open_run(run, indexed=True)
    summary = _summary(opened)
    rounds = [{"round": info.round, "stored": info.stored, **info.metrics} for info in opened.rounds]
    if as_json:
        print_json({**summary, "rounds": rounds})
        return
    for name in ("run", "kind", "env_id", "schema_version", "created", "parent"):
        print(f"{name}: {summary[name]}")
    versions = ", ".join(f"{package} {version}" for package, version in summary["trainer"]["versions"].items())
    print(f"trainer: {summary['trainer']['name']}{f' ({versions})' if versions else ''}")
    can = [name for name, why in summary["capabilities"].items() if not why]
    print(
        "; ".join([f"can: {', '.join(can)}", *(f"no {n}: {why}" for n, why in summary["capabilities"].items() if why)])
    )
    for name in ("config", "language", "settings", "fingerprint"):
        if name in summary:
            print(f"{name}: " + ", ".join(f"{k}={v}" for k, v in summary[name].items()))
    columns = (
        "records",
        "episodes",
        "mean_return",
        "value_loss",
        "entropy",
        "approx_kl",
        "explained_variance",
    )
    print_table(
        ("round", "stored", *columns),
        [(r["round"], "yes" if r["stored"] else "metrics only", *(r.get(c) for c in columns)) for r in rounds],
    )


def _summary(run: Any) -> dict[str, Any]:
    from engine.store.buckets.mirror import called

    manifest = run.manifest.to_json()
    returns = [info.metrics.get("mean_return") for info in run.rounds]
    finished = [value for value in returns if value is not None]
    own = {"trainer": {"name": "snapshot-influence", "versions": {}}, "capabilities": dict.fromkeys(CAPABILITIES, "")}
    return {
        "run": called(run.path),
        "kind": run.kind,
        **manifest,
        **{name: run.manifest.settings.get(name, value) for name, value in own.items()},
        "committed_rounds": len(run.rounds),
        "finished": run.final is not None,
        "final_return": finished[-1] if finished else None,
    }


def verify(
    run: RunFolder,
    replays: Annotated[
        bool, typer.Option("--replay", help="Also replay every round and compare it with the next checkpoint.")
    ] = False,
    new: Annotated[
        bool,
        typer.Option(
            "--new", help="Read only what is new or was written since the last time that all was as committed."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Read and check every byte of a run, or of a campaign's folder; exit code 1 names what is damaged."""
    from engine.demos.courtesy.experiment.results import find_results
    from engine.experiments.results import find_campaigns
    from engine.store.buckets.mirror import called
    from engine.store.read import open_run
    from engine.store.sound_files import SoundFiles
    from engine.store.verify import verify_documents, verify_rounds
    from engine.store.words import counted

    sound = SoundFiles(run) if new else None
    damage, unchecked = verify_documents(run) if run.is_dir() else ([], [])
    if (run / "run.json").exists() or not (find_campaigns(run) or find_results(run)):
        with suppress(DamagedRunError):
            open_run(run, indexed=new)
        damage = verify_rounds(run, sound=sound) + damage
    replayed = _replayed(run) if replays and not damage else []
    if as_json:
        damaged = [{"file": d.file, "problem": d.problem} for d in damage]
        found = {"ok": not damage, "damaged": damaged} | ({"unchecked": unchecked} if unchecked else {})
        found |= {} if sound is None else {"passed_over": sound.passed_over}
        print_json(found | ({"replay": [each.to_json() for each in replayed]} if replays else {}))
    else:
        for d in damage:
            print(d.problem if d.file in d.problem else f"{d.file}: {d.problem}")
        for file in unchecked:
            print(f"{file} has no checksum: an earlier version wrote it, so nobody can tell whether it changed")
        if not damage:
            print(f"{called(run)}: every byte {'that has a checksum ' if unchecked else ''}is as it was committed")
        if sound is not None and sound.passed_over:
            print(
                f"{counted(sound.passed_over, 'file')} not read again: nobody wrote them since they were found sound; verify "
                "without --new also finds what a disk loses by itself"
            )
        for each in replayed:
            print(each.sentence)
    if damage:
        raise typer.Exit(1)


def _replayed(run: Path) -> list[ReplayedRound]:
    from engine.core.replays.replayed_run import replay_run
    from engine.store.read import open_run

    opened = open_run(run, indexed=True)
    with progress() as report:
        found = []
        for each in replay_run(opened):
            found.append(each)
            report(f"round {each.round} replayed", len(found), len(opened.stored_rounds))
    return found
