"""The incidents of a run in words, below their strip on the Timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from app.charts.incidents import SHAPES
from app.runs import loaders
from app.shell import kinds, page, state, timed
from app.shell.filling import Filling
from app.shell.text import escape
from engine.analysis.checks.failed_rounds import Failed, with_failed
from engine.analysis.incidents.detect import with_unlike
from engine.analysis.incidents.falls import Drop
from engine.analysis.incidents.incident import FAILED, UNLIKE, Incident, Incidents
from engine.analysis.incidents.unlike import Look
from engine.store.read import Run
from engine.store.words import counted

AT_ONCE_ROUNDS, AT_ONCE_BYTES = 20, 2**21
"""So many rounds that were not looked at, of so many bytes, are read while the page is drawn; for more one has to ask."""
AT_ONCE_SECONDS = 2.0
"""After which nothing more is read while the page is drawn. A language model's rounds take longer to check: one has to ask."""
SLICE_SECONDS = 0.5
"""Of reading records, between which the page says how far it is."""
LISTED, UNFOLDED = 100, 4
"""Incidents that are listed, and how many of them at once."""
NOTES = 5
"""Lines of what is not known."""
LOOK, NOISE = "look_at_records", "within_noise"


@dataclass(frozen=True)
class Known:
    """What is known of a run's incidents, now."""

    run: Run
    found: Incidents
    looks: Filling[Look]
    checks: Filling[Failed]

    @property
    def missing(self) -> list[int]:
        """Rounds that were not looked at or not checked."""
        return sorted({*self.looks.rounds.missing, *self.checks.rounds.missing})

    @property
    def noise(self) -> Drop | None:
        """The largest fall that is none, if the reader asked for it."""
        return self.found.largest if state.get(NOISE) else None


def known(run: Run, name: str) -> Known:
    """What the metrics say, and also the records, as far as all were looked at or that takes no time."""
    state.choose(NOISE, [False, True], False)
    state.choose(LOOK, [False, True], False, scope=name)
    found, looks, checks = loaders.named_incidents(run), loaders.record_looks(run), loaders.round_checks(run)
    for filling in (looks, checks) if kinds.shown(run).pages == kinds.OF_STEPS else (looks,):
        missing = filling.rounds.missing
        if 0 < len(missing) <= AT_ONCE_ROUNDS and _bytes(run, missing) <= AT_ONCE_BYTES:
            filling.advance(AT_ONCE_SECONDS)
    if not checks.rounds.missing:
        found = with_failed(found, checks.rounds)
    if not looks.rounds.missing:
        found = with_unlike(found, looks.rounds)
    return Known(run, found, looks, checks)


def draw(this: Known, name: str) -> None:
    """What was found, what is not known, and what came closest."""
    found = this.found
    with st.container(key="incidents"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{_how_many(found)}**")
            if found.largest is not None:
                st.toggle("Falls within noise", key=NOISE)
            _records(this)
        if this.noise is not None:
            st.caption(escape(_sentence(found.largest_in_words)))
        _list(this.run, name, found[:UNFOLDED])
        if len(found) > UNFOLDED:
            with st.expander(f"{counted(len(found) - UNFOLDED, 'more incident')}"):
                _list(this.run, name, found[UNFOLDED:LISTED])
                if len(found) > LISTED:
                    st.caption(f"The first {LISTED} of {len(found):,}; `python -m engine incidents` lists all.")
        _not_known(found)


def to_update(run: Run, name: str, incident: Incident) -> None:
    """Links to the update that an incident is the doing of."""
    if run.has_records(incident.update):
        with st.container(horizontal=True):
            page.to_autopsy(name, incident.update, f"Autopsy of update {incident.update}")
            page.to_records(run, name, incident.update)
    else:
        st.caption(f"The records of round {incident.update} are not there.")


def whose(incident: Incident) -> str:
    """Which update to look at, and why that one."""
    if incident.kind in (UNLIKE, FAILED) and incident.update == incident.onset:
        return f"Update {incident.update} learns from these records."
    if incident.update == incident.onset:
        return f"The first value that is not finite comes from update {incident.update} itself."
    return f"The policy that played round {incident.onset} came from update {incident.update}, so that is the update to look at."


def _list(run: Run, name: str, incidents: Sequence[Incident]) -> None:
    for incident in incidents:
        with st.container(border=True, gap="xsmall"):
            st.markdown(
                f"{SHAPES[incident.kind].letter} **Round {incident.onset}, {incident.kind}.** "
                f"{escape(_sentence(incident.reason))}"
            )
            if incident.causes:
                st.caption(
                    f"Unusual before it, though not necessarily the cause: {escape('; '.join(incident.causes))}."
                )
            with st.container(horizontal=True, vertical_alignment="center"):
                st.caption(whose(incident))
                to_update(run, name, incident)
                for update in sorted({*incident.cause_updates} - {incident.update}):
                    if run.has_records(update):
                        page.to_autopsy(name, update, f"Autopsy of update {update}")


def _not_known(found: Incidents) -> None:
    notes = [*filter(None, (found.too_few,)), *found.missing]
    for note in notes[:NOTES]:
        st.caption(escape(_sentence(note)))
    if len(notes) > NOTES:
        st.caption(f"And {counted(len(notes) - NOTES, 'more line')}; `python -m engine incidents` says all.")


def _records(this: Known) -> None:
    """Whether records were looked at, and where they were not a way to do it."""
    stored, missing = this.looks.rounds.numbers, this.missing
    if not stored:
        return
    if not missing:
        st.caption(f"The records of {counted(len(stored), 'round')} were looked at.")
        return
    megabytes = _bytes(this.run, missing) / 1e6
    st.caption("The records have not been looked at.")
    wanted = st.toggle(
        f"Look at them ({counted(len(missing), 'round')}, {megabytes:.0f} MB)",
        key=LOOK,
        help="Reads the records of every round, and says where rewards or observations are unlike those of earlier rounds, and "
        "which rounds fail a check of their record. The results are kept.",
    )
    if wanted:
        _progress(this)


@timed.every(SLICE_SECONDS + 0.1)
def _progress(this: Known) -> None:
    """Look at some more of the records and check some more rounds; once all are done the page is drawn anew."""
    this.looks.advance(SLICE_SECONDS / 2)
    this.checks.advance(SLICE_SECONDS / 2)
    if not this.missing:
        st.rerun()
    (looked, total), (checked, _) = this.looks.rounds.progress, this.checks.rounds.progress
    st.progress((looked + checked) / (2 * total), f"{looked} of {total} rounds looked at, {checked} checked")


def _bytes(run: Run, rounds: Sequence[int]) -> int:
    """Of the files of these rounds."""
    wanted = set(rounds)
    return sum(info.bytes for info in run.rounds if info.round in wanted)


def _how_many(found: Incidents) -> str:
    how_many = counted(len(found), "incident") if len(found) else "No incident"
    return f"{how_many} in {counted(found.rounds, 'round')}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
