"""Three sequences to read: those whose probability an update moved most, and one that a check named, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.analysis.checks.checked import Check as RoundCheck
from engine.core.kind import kind_of
from engine.core.replays.replayed_run import update_key
from engine.errors import BadInputError
from engine.executors import Progress
from engine.intervention.autopsy.kept_returns import AFTER, Kept
from engine.store.read import Run
from engine.store.snapshot import Snapshot

VERSION = 1
"""Part of every key; raise it whenever the numbers mean something else."""
MEDIAN = "the median: the log-probability of half of the responses changed by less, of half by more"


@dataclass(frozen=True)
class ReadSequence:
    """A sequence of the round, as it was recorded."""

    record: int
    """Its number."""
    moved: float | None
    """How much the update changed the log-probability of the response, in nats; None where it is not known."""
    reward: float
    why: str
    """Why it was chosen."""

    @property
    def sentence(self) -> str:
        """What happened, and why it was chosen."""
        by = "" if self.moved is None else f", log-probability {self.moved:+.3g} by the update"
        return f"Sequence {self.record}: reward {self.reward:.3g}{by}; {self.why}."

    def to_json(self) -> dict[str, Any]:
        """Plain values; it is no episode."""
        return {"episode": None, "records": [self.record], **asdict(self)}


def kept_moves(run: Run, snapshot: Snapshot, *, cache: bool = True) -> Kept:
    """What is known by now of how much the update moved the round's sequences: (n,) of `AFTER`, where it is known.

    Args:
        run: the run.
        snapshot: its round; other commits, software or machines share nothing.
        cache: read and write `derived/`.
    """
    k, n = snapshot.round, len(snapshot.buffer)
    key = update_key(run, k, {"version": VERSION, "moved sequences": k}) if cache else None
    return Kept(run, key, lambda policy: n)


@torch.no_grad()
def ask_moves(run: Run, snapshot: Snapshot, moves: Kept, say: Progress) -> None:
    """Ask the policy after the update for the probabilities of the round's responses, where records are texts.

    Args:
        run: the run.
        snapshot: its round k, after which a checkpoint is stored.
        moves: filled in, unless it is known, or the policy can't be made here.
        say: told that it is asked; raise from it to cancel.
    """
    kind, buffer = kind_of(snapshot), snapshot.buffer
    if not kind.has_texts or AFTER in moves:
        return
    say("asking for the probabilities of the sequences", 0, 1)
    with suppress(BadInputError):
        policy = kind.policy(snapshot.changed(checkpoint=run.checkpoint(snapshot.round + 1)))
        moved = kind.log_probs_by(policy, snapshot).astype(np.float64) - buffer.log_prob[buffer.mask]
        moves.keep(AFTER, np.bincount(buffer.record_of_token[buffer.mask], moved, len(buffer)).astype(np.float64))


def to_read(snapshot: Snapshot, moves: Kept, checks: Sequence[RoundCheck]) -> tuple[ReadSequence, ...]:
    """The sequence that the update made least likely, one in the middle, and the one that it made likeliest.

    In the place of the middle one is the first that a check found something wrong with. None where records are no texts.

    Args:
        snapshot: the round.
        moves: see `kept_moves`.
        checks: of the round.
    """
    if not kind_of(snapshot).has_texts:
        return ()
    known = AFTER in moves and moves[AFTER].any() and np.isfinite(moves[AFTER]).all()
    moved = moves[AFTER] if known else None
    chosen: dict[int, str] = {}
    for record, why in _chosen(moved, checks):
        chosen.setdefault(record, why)
    reward = snapshot.buffer.reward
    return tuple(
        ReadSequence(record, None if moved is None else float(moved[record]), float(reward[record]), why)
        for record, why in chosen.items()
    )


def _chosen(moved: NDArray[np.float64] | None, checks: Sequence[RoundCheck]) -> Iterator[tuple[int, str]]:
    """Records, each with the reason; one may be there twice."""
    named = next(
        (
            (check.records[0], f"the check of {check.name} names it")
            for check in checks
            if check.ok is False and check.records
        ),
        None,
    )
    if moved is None:
        yield from () if named is None else (named,)
        return
    order = np.argsort(moved, kind="stable").tolist()
    yield order[0], _extreme(moved[order[0]], -1)
    yield named or (order[(len(order) - 1) // 2], MEDIAN)
    yield order[-1], _extreme(moved[order[-1]], 1)


def _extreme(moved: float, side: int) -> str:
    word = "lost" if side < 0 else "gained"
    if side * moved > 0:
        return f"of all responses, this one {word} most probability"
    return f"no response {word} probability; this one came closest"
