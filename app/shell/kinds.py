"""How the pages show each kind of run: what is the pages' own matter. What the engine knows, `engine.core.kind` says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from app.shell.sequence_columns import sequences_table
from engine.core.kind import Kind, Words, kind_of
from engine.errors import BadInputError
from engine.known_kinds import kind_named
from engine.store.read import Run
from engine.store.snapshot import Snapshot

Table = Callable[[Snapshot, Sequence[int]], pd.DataFrame]


@dataclass(frozen=True)
class Page:
    """A page about the records of some kind of run."""

    view: str
    """Name in `views/`, and in the URL."""
    why: str
    """What one finds there, in a few words."""
    link: str = ""
    """Label of a link to a round of it, with `{round}`."""
    icon: str = ""

    @property
    def title(self) -> str:
        """What the navigation calls it."""
        return self.view.capitalize()


def plain_table(snapshot: Snapshot, records: Sequence[int]) -> pd.DataFrame:
    """These records by what their kind recognises them by."""
    return pd.DataFrame({"record": list(records), **kind_of(snapshot).columns(snapshot, records)})


def _as_listed(snapshot: Snapshot, records: Sequence[int]) -> pd.DataFrame:
    """These sequences as the page about them lists them."""
    return sequences_table(snapshot.buffer).take(pa.array(list(records), pa.int64())).to_pandas()


@dataclass(frozen=True)
class Shown:
    """How the pages show runs of a kind. What is here is right for a kind of which the pages know nothing."""

    pages: tuple[Page, ...] = ()
    """About its records; the first one has the scores, and the basket."""
    elsewhere: str = "The records of this kind of run have no page of their own; the Timeline lists them."
    """What a page about other kinds of records says."""
    collected: str = ""
    """What the returns on the Timeline are of; empty: the round's episodes, by the kind's word for them."""
    updates: str = ""
    """What else is to be known of the update's metrics."""
    has_formation: bool = False
    """Whether the Timeline has a map of influence by action."""
    is_studied: bool = False
    """Whether the study of faithfulness that ships is about such runs."""
    lists_records: bool = False
    """Whether the Timeline lists the records all the same: where their pages may have nothing to say without the policy."""
    table: Table = plain_table
    """Some records as a table."""


DIAGNOSE = Page(
    "diagnose", "which records helped and hurt a round", "Diagnose round {round}", ":material/troubleshoot:"
)
BEHAVIOUR = Page("behaviour", "how an action came to be")
SEQUENCES = Page(
    "sequences",
    "its records as text, and which of them helped and hurt",
    "Open the sequences of round {round}",
    ":material/chat:",
)
TIMELINE = Page("timeline", "how learning went", "Timeline", ":material/show_chart:")
"""Where the records are listed of a kind that has no page of its own."""

OF_STEPS = (DIAGNOSE, BEHAVIOUR)
"""About records that are steps of an environment."""

KINDS = {
    "control": Shown(
        pages=OF_STEPS,
        elsewhere="This is the run of a control task: its records are steps of an environment, which have pages of their own.",
        collected="Training episodes that ended in the round",
        has_formation=True,
        is_studied=True,
    ),
    "recorded": Shown(
        pages=OF_STEPS,
        elsewhere="Another trainer made this run: its records are steps of an environment, which have pages of their own.",
        collected="Training episodes that ended in the round",
        has_formation=True,
        lists_records=True,
    ),
    "language": Shown(
        pages=(SEQUENCES,),
        elsewhere="This is a language model's run: its records are sequences, which have a page of their own.",
        updates=" KL (summed over a response), rewards and shares are of the round's responses.",
        table=_as_listed,
    ),
}
"""Name of the kind -> how it is shown; any other as `Shown()`."""


def shown(run: Run) -> Shown:
    """How a run is shown."""
    return KINDS.get(run.kind, Shown())


def records_page(run: Run) -> Page:
    """Where a run's records are."""
    return next(iter(shown(run).pages), TIMELINE)


def origin(run: Run) -> str:
    """Who trained a run, where that was not this project, and what can be done with it; empty where it was."""
    said = _known(run).origin(run.manifest)
    return str(said)


def cannot_train(run: Run) -> str:
    """Why a run can't be gone on with here; empty where it can."""
    return str(_known(run).no_training)


def words(run: Run) -> Words:
    """What people call things in a run; the usual words where its kind is not known here."""
    said: Words = _known(run).words
    return said


def default_target(run: Run) -> str:
    """The target of a run where nobody says otherwise."""
    return str(_known(run).default_target)


def _known(run: Run) -> Any:
    """What the engine knows of a run's kind, or of any kind."""
    try:
        return kind_named(run.kind)
    except BadInputError:
        return Kind
