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
from engine.analysis.incidents.falls import Drop
from engine.analysis.incidents.incident import FAILED, UNLIKE, Incident, Incidents
from engine.analysis.incidents_in_records import InRecords
from engine.errors import EngineError
from engine.store.read import Run
from engine.store.words import counted
from engine.terminal import duration

AT_ONCE_ROUNDS, AT_ONCE_BYTES = 20, 2**21
"""So many rounds that were not read, of so many bytes, are read while the page is drawn; for more one has to ask."""
AT_ONCE_SECONDS = 2.0
"""After which nothing more is read while the page is drawn. A language model's rounds take longer to check: one has to ask."""
SLICE_SECONDS = 0.5
"""Of reading records, between which the page says how far it is."""
LISTED, UNFOLDED = 100, 4
"""Incidents that are listed, and how many of them at once."""
NOTES = 5
"""Lines of what is not known."""
REPLAY_SECONDS = 1.5
"""Of all checks of a round at least, and as a multiple of the time that its update took."""
LOOK, REPLAY, NOISE = "look_at_records", "replay_updates", "within_noise"


@dataclass(frozen=True)
class Known:
    """What is known of a run's incidents, now."""

    run: Run
    found: Incidents
    records: Filling[InRecords]
    """What its records say, without a replay; ..."""
    replays: Filling[InRecords] | None
    """... and with one of each update, where the reader asked for it and it can be made."""
    why_not: str = ""
    """Why it can't be made."""

    @property
    def noise(self) -> Drop | None:
        """The largest fall that is none, if the reader asked for it."""
        return self.found.largest if state.get(NOISE) else None


def known(run: Run, name: str) -> Known:
    """What the metrics say, and also the records, as far as all were looked at or that takes no time."""
    state.choose(NOISE, [False, True], False)
    for key in (LOOK, REPLAY):
        state.choose(key, [False, True], False, scope=name)
    found, records = loaders.named_incidents(run), loaders.in_records(run, False)
    replays, why_not = None, ""
    if state.get(REPLAY):
        try:
            replays = loaders.in_records(run, True)
        except EngineError as error:
            why_not = str(error)
    missing = records.rounds.missing
    at_once = kinds.shown(run).pages == kinds.OF_STEPS and len(missing) <= AT_ONCE_ROUNDS
    if at_once and _bytes(run, missing) <= AT_ONCE_BYTES:
        records.advance(AT_ONCE_SECONDS)
    for filling in (replays, records):
        if filling is not None and not filling.rounds.missing:
            return Known(run, filling.rounds.added_to(found), records, replays, why_not)
    return Known(run, found, records, replays, why_not)


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
    """Whether records were looked at and updates replayed, and where not a way to do it."""
    stored, missing = this.run.stored_rounds, this.records.rounds.missing
    if not stored:
        return
    if this.replays is not None and not this.replays.rounds.missing:
        st.caption(
            f"The records of {counted(len(stored), 'round')} were looked at, and their updates replayed where they can be."
        )
        return
    if missing:
        st.caption("The records have not been looked at.")
        megabytes = _bytes(this.run, missing) / 1e6
        wanted = st.toggle(
            f"Look at them ({counted(len(missing), 'round')}, {megabytes:.0f} MB)",
            key=LOOK,
            help="Reads the records of every round, and says where rewards or observations are unlike those of earlier rounds, "
            "and which rounds fail a check of their record. The results are kept.",
        )
        if wanted:
            _progress(this.records, "looked at")
        return
    st.caption(f"The records of {counted(len(stored), 'round')} were looked at.")
    to_replay = stored if this.replays is None else this.replays.rounds.missing
    wanted = st.toggle(
        f"Replay their updates, too ({counted(len(to_replay), 'round')}, about {duration(_replay_seconds(this, to_replay))})",
        key=REPLAY,
        help="Makes every check of an autopsy for every round: a critic that was set anew, or a learning rate that is not the "
        "recorded one, shows only where the replay of an update leads elsewhere. The results are kept.",
    )
    if this.why_not:
        st.caption(escape(_sentence(this.why_not)))
    elif wanted and this.replays is not None:
        _progress(this.replays, "replayed")


@timed.every(SLICE_SECONDS + 0.1)
def _progress(filling: Filling[InRecords], done_to_them: str) -> None:
    """Read some more of the rounds; once all are done the page is drawn anew."""
    filling.advance(SLICE_SECONDS)
    done, total = filling.rounds.progress
    if done == total:
        st.rerun()
    st.progress(done / total, f"{done} of {counted(total, 'round')} {done_to_them}")


def _replay_seconds(this: Known, rounds: Sequence[int]) -> float:
    """What all checks of these rounds take: as measured, or by how long their updates took."""
    measured = None if this.replays is None else this.replays.seconds_left
    if measured is not None:
        return measured
    wanted = set(rounds)
    updates = (info.metrics.get("update_seconds") for info in this.run.rounds if info.round in wanted)
    return sum(REPLAY_SECONDS * max(float(update or 0), 1.0) for update in updates)


def _bytes(run: Run, rounds: Sequence[int]) -> int:
    """Of the files of these rounds."""
    wanted = set(rounds)
    return sum(info.bytes for info in run.rounds if info.round in wanted)


def _how_many(found: Incidents) -> str:
    how_many = counted(len(found), "incident") if len(found) else "No incident"
    return f"{how_many} in {counted(found.rounds, 'round')}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
