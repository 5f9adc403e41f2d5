"""The doors on the first screen: four questions, each with a link to where it is answered."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import streamlit as st

from app.runs.listed import Listed
from app.shell import kinds, state
from app.shell.cached import cached
from app.shell.text import escape
from engine.analysis.run_index import RunRow
from engine.errors import EngineError
from engine.jobs.folder import folders_with_ids
from engine.jobs.interventions import InterventionJob, read_job
from engine.store.words import counted

MOST_COMPARED = 8
"""Runs that a link names."""
_STYLE = """<style>
.st-key-doors [data-testid=stPageLink-NavLink] {padding-left: 0; padding-right: 0}
.st-key-doors [data-testid=stPageLink-NavLink] * {white-space: normal; overflow: visible}
</style>"""
Read = tuple[Listed, RunRow]
"""A run, and what was read of it."""
Ended = tuple[float, str, Listed, RunRow]
"""The final return of a run, and its id."""


@dataclass(frozen=True)
class Door:
    """A question, and what is behind it here."""

    question: str
    icon: str
    view: str
    """Name in `views/`."""
    where: str
    """Plain text: where it leads, or why it leads nowhere."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Empty where it leads nowhere."""
    command: str = ""
    """That answers it, too."""


def doors(runs: Sequence[Listed], opened: str, samples: Path) -> tuple[Door, ...]:
    """What is behind the four.

    Args:
        runs: those that are here, without archived ones.
        opened: id of the run that is open; empty if there is none.
        samples: folder of the sample runs that ship.
    """
    read = [(run, run.row) for run in runs if run.row is not None and not run.is_branch]
    return went_wrong(read), better_seed(read), why_so(read, opened), example(read, samples)


def went_wrong(runs: Sequence[Read]) -> Door:
    """The worst incident among the runs, or else the largest fall."""
    door = partial(Door, "A round went wrong", ":material/biotech:")
    hit = [(run, row.worst, row.created) for run, row in runs if row.worst is not None]
    if not hit:
        return door("timeline", "No run here has an incident, and no return fell.")
    run, worst, _ = max(hit, key=lambda each: (each[1].rank, each[2]))  # the newest of equals
    said = f"{run.title}, {worst.short}."
    if not worst.incident:
        said = f"No incident here. The largest fall, within noise: {said}"
    if worst.stored:
        query = {"run": run.name, "round": str(worst.update)}
        return door("autopsy", f"{said} Opens the autopsy of update {worst.update}.", query)
    return door("timeline", f"{said} Opens its timeline.", {"run": run.name})


def better_seed(runs: Sequence[Read]) -> Door:
    """Runs of one setting with several seeds: the setting in which their final returns lie furthest apart."""
    door = partial(
        Door, "It stopped improving, or another seed did better", ":material/compare_arrows:", "compare_runs"
    )
    groups: dict[str, list[Ended]] = defaultdict(list)
    for run, row in runs:
        if row.setting and row.final_return is not None:
            groups[row.setting].append((row.final_return, run.name, run, row))
    several = [sorted(group, key=lambda each: each[:2]) for group in groups.values() if len(_seeds(group)) > 1]
    if not several:
        return door("No two runs here differ only in their seed. Train with another seed to compare.")
    group = max(several, key=_apart)
    (low, _, worse, _), (high, _, better, _) = group[0], group[-1]
    names = [name for _, name, _, _ in group]
    return door(
        f"{worse.title} ended at {low:.4g}, {better.title} at {high:.4g}. Compares {counted(len(group), 'run')}.",
        {"runs": state.listed([*names[: MOST_COMPARED - 1], names[-1]] if len(names) > MOST_COMPARED else names)},
        shlex.join(["python", "-m", "engine", "autopsy", _typed(worse.path), "--against", _typed(better.path)]),
    )


def why_so(runs: Sequence[Read], opened: str) -> Door:
    """The page about what the agent does: of the run that is open, or else of the newest one."""
    door = partial(Door, "Why does it act like this?", ":material/psychology:")
    about = [
        (run, row, page) for run, row in runs if row.has_records and (page := _about_actions(row.kind)) is not None
    ]
    if not about:
        return door("behaviour", "No run here has records to look at.")
    newest = max(about, key=lambda each: each[1].created)
    run, _, page = next((each for each in about if each[0].name == opened), newest)
    return door(page.view, f"Opens {page.title} of {run.title}: {page.why}.", {"run": run.name})


def example(runs: Sequence[Read], samples: Path) -> Door:
    """The sample run in which records were taken out and that helped, with the verdict."""
    door = partial(Door, "Show me the example", ":material/school:")
    shipped = [run for run, _ in runs if samples in run.path.parents]
    tried = [(run, job) for run in shipped for job in _finished(run.path)]
    if tried:
        run, job = max(tried, key=lambda each: _shows(each[1]))
        said = f"{run.title}, round {job.plan.round} {job.plan.in_words()}. Opens what came of it."
        return door("compare", said, {"run": run.name, "iv": job.id})
    if shipped:
        return door("timeline", f"Opens the timeline of {shipped[0].title}.", {"run": shipped[0].name})
    return door("timeline", "The sample runs are not among these. Start the dashboard without --runs to see them.")


def draw(found: Sequence[Door]) -> None:
    """The doors, beside one another."""
    st.html(_STYLE)
    with st.container(key="doors"):
        for door, place in zip(found, st.columns(len(found), gap="small"), strict=True):
            with place.container(border=True, height="stretch", gap="xxsmall"):
                question = f"**{door.question}**"
                st.page_link(
                    f"views/{door.view}.py",
                    label=question if door.query else f":gray[{question}]",
                    icon=door.icon,
                    query_params=dict(door.query),
                    disabled=not door.query,
                )
                st.caption(escape(door.where))
                if door.command:
                    with st.popover("Where did they part?", icon=":material/terminal:", type="tertiary"):
                        st.caption(
                            "This command says at which round the runs parted, what differed before, and whether it was luck."
                        )
                        st.code(door.command, language=None, wrap_lines=True)


def _typed(path: Path) -> str:
    """A path as one types it where the dashboard was started."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _seeds(group: Sequence[Ended]) -> set[int]:
    return {row.seed for _, _, _, row in group}


def _apart(group: Sequence[Ended]) -> float:
    """How far the final returns lie apart, as a share of all that was returned."""
    returns = [value for _, _, _, row in group for value in row.returns]
    span = max(returns) - min(returns)
    return (group[-1][0] - group[0][0]) / span if span else 0.0


def _about_actions(kind: str) -> kinds.Page | None:
    """The page about what an agent of that kind does."""
    pages = kinds.KINDS.get(kind, kinds.Shown()).pages
    return pages[-1] if pages else None


def _folders(path: Path) -> list[tuple[Path, int]]:
    """The folders of a run's interventions, and when each changed."""
    return [(folder, folder.lstat().st_mtime_ns) for folder in folders_with_ids(path, "interventions")]


@cached(max_entries=16, by=_folders)
def _finished(path: Path) -> list[InterventionJob]:
    """A run's interventions that have a result; none that can't be read."""
    jobs = []
    for folder, _ in _folders(path):
        with suppress(EngineError):
            jobs.append(read_job(folder))
    return [job for job in jobs if job is not None and job.result is not None]


def _shows(job: InterventionJob) -> tuple[bool, bool, str]:
    """What shows most: a removal that helped, and went on with data collected anew."""
    helped = job.result is not None and job.result["verdict"] == "helps"
    return helped, bool(job.plan.continue_rounds), job.id
