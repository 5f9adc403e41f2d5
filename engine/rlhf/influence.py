"""Influence of a round's sequences, and of their tokens, on a target of the language model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.attribution.backends import Backend
from engine.attribution.path import OnStep
from engine.errors import BadInputError
from engine.learning.checkpoint import one_thread
from engine.rlhf.advantages import totals
from engine.rlhf.credits import Credits
from engine.rlhf.grpo import without_signal
from engine.rlhf.models import restore_policy
from engine.rlhf.path import along_the_update
from engine.rlhf.targets import TokenTarget, language_target
from engine.store.derived import load_table, save_table
from engine.store.sequences import LanguageSnapshot
from engine.store.snapshot import Float32s

CACHE_VERSION = 1
"""Part of every cache key; raise it whenever an estimator's numbers change."""


@dataclass(frozen=True, eq=False)
class SequenceScores:
    """Influence of every sequence of one round and of its tokens, and where the numbers came from."""

    influence: Float32s
    """(n,) by record number; positive raised the target, negative lowered it."""
    token_influence: Float32s | None
    """(N,) by token, as the buffer's token columns; a record's sum up to its influence. None where the backend can't tell
    tokens apart."""
    no_signal: NDArray[np.bool_]
    """(n,) GRPO: all rewards of its group are equal, so nothing was learned from it; its influence is 0 and has no rank."""
    round: int
    target: dict[str, Any]
    """The target's description."""
    estimator: str
    snapshot_hash: str
    """Commit that they were computed from; empty for a round that is not committed."""


def sequence_influence(
    snapshot: LanguageSnapshot,
    target: TokenTarget | str = "sequence",
    estimator: str = "first_order",
    *,
    backend: Backend = "jvp",
    critic: bool = True,
    on_step: OnStep | None = None,
    cache: bool = True,
    refresh: bool = False,
) -> SequenceScores:
    """Influence of every sequence of a round on a target.

    >>> import engine
    >>> from engine.rlhf.influence import sequence_influence
    >>> snapshot = engine.open_run("sample_runs/courtesy").language_snapshot(0)
    >>> scores = sequence_influence(snapshot, "sequence")
    >>> snapshot.buffer.response[scores.influence.argmin()]

    Args:
        snapshot: round k.
        target: `"sequence"`, `"return"`, or a target such as `language_target(snapshot, "action", record=7)`.
        estimator: `first_order` (one inner product at theta(k)), `tracin` or `tracin_adam` (along the replayed update).
        backend: `jvp` (by token), `ghost` (hooks: by sequence only) or `loop` (slow, the oracle).
        critic: whether the value loss counts: it moves the network that policy and value share. The paper's filtering
            leaves it out.
        on_step: called before every optimizer step that is followed; raise from it to cancel.
        cache: read from and write to the run's `derived/`; only what `jvp` computed of a committed round is kept there.
        refresh: compute in any case, and replace what is cached.

    Returns:
        Scores: I > 0 means that the sequence raised the target, I < 0 that it lowered it; 0 for sequences that the update
        went without.

    Raises:
        BadInputError: unknown target or estimator, or the extra is not installed.
        ZeroGradientError: every influence would be 0.
    """
    place = _Place.of(snapshot, target, estimator, critic)
    keep = cache and backend == "jvp"
    found = place.read() if keep and not refresh else None
    if found is not None:
        return found
    chosen = place.target
    one_thread()
    credits = LANGUAGE_ESTIMATORS[estimator](snapshot, chosen, backend, critic, on_step)
    if backend != "jvp":
        return _scores(snapshot, chosen, estimator, credits.by_record().astype(np.float32), None)
    tokens = credits.by_token().astype(np.float32)
    scores = _scores(snapshot, chosen, estimator, summed(snapshot, tokens), tokens)
    if keep:
        place.keep(tokens)
    return scores


def read_sequence_influence(
    snapshot: LanguageSnapshot,
    target: TokenTarget | str = "sequence",
    estimator: str = "first_order",
    *,
    critic: bool = True,
) -> SequenceScores | None:
    """What `sequence_influence` kept of this question, without computing anything; None if there is nothing. Args as there."""
    return _Place.of(snapshot, target, estimator, critic).read()


@dataclass(frozen=True)
class _Place:
    """Where the scores of one question are kept; only those of a committed round are."""

    snapshot: LanguageSnapshot
    target: TokenTarget
    estimator: str
    about: str
    """The question as JSON."""

    @classmethod
    def of(cls, snapshot: LanguageSnapshot, target: TokenTarget | str, estimator: str, critic: bool) -> _Place:
        if estimator not in LANGUAGE_ESTIMATORS:
            raise BadInputError(
                f"unknown estimator {estimator!r}; for language models there is {', '.join(LANGUAGE_ESTIMATORS)}"
            )
        chosen = language_target(snapshot, target) if isinstance(target, str) else target
        about = {
            "sequences": CACHE_VERSION,
            "round": snapshot.round,
            "target": chosen.describe(),
            "estimator": estimator,
            "critic": critic,
            "snapshot": snapshot.hash,
        }
        return cls(snapshot, chosen, estimator, json.dumps(about, sort_keys=True))

    @property
    def key(self) -> str:
        return hashlib.sha256(self.about.encode()).hexdigest()

    def read(self) -> SequenceScores | None:
        snapshot = self.snapshot
        table = load_table(snapshot.path, self.key) if snapshot.path is not None and snapshot.hash else None
        if table is None or len(table) != len(snapshot.buffer.token):
            return None
        tokens = table.column("influence").to_numpy().astype(np.float32)
        return _scores(snapshot, self.target, self.estimator, summed(snapshot, tokens), tokens)

    def keep(self, tokens: Float32s) -> None:
        if self.snapshot.path is not None and self.snapshot.hash:
            table = scores_table(self.snapshot, tokens)
            save_table(self.snapshot.path, self.key, table, {"influence": self.about})


def _scores(
    snapshot: LanguageSnapshot, target: TokenTarget, estimator: str, influence: Float32s, tokens: Float32s | None
) -> SequenceScores:
    about, quiet = target.describe(), no_signal(snapshot)
    return SequenceScores(influence, tokens, quiet, snapshot.round, about, estimator, snapshot.hash)


def no_signal(snapshot: LanguageSnapshot) -> NDArray[np.bool_]:
    """(n,) GRPO: records whose group has nothing to tell apart."""
    buffer = snapshot.buffer
    if snapshot.language.algorithm != "grpo":
        return np.zeros(len(buffer), bool)
    return without_signal(totals(buffer), buffer.group, buffer.kept)


def summed(snapshot: LanguageSnapshot, tokens: Float32s) -> Float32s:
    """(N,) -> (n,): by record."""
    buffer = snapshot.buffer
    return np.bincount(buffer.record_of_token, tokens, len(buffer)).astype(np.float32)


def scores_table(snapshot: LanguageSnapshot, tokens: Float32s) -> pa.Table:
    """Columns `record` and `position` int32 and `influence` float32, one row a token."""
    buffer = snapshot.buffer
    record = buffer.record_of_token
    position = (np.arange(len(record)) - buffer.start[record]).astype(np.int32)
    return pa.table({"record": record, "position": position, "influence": tokens})


def first_order(
    snapshot: LanguageSnapshot, target: TokenTarget, backend: Backend, critic: bool, on_step: OnStep | None = None
) -> Credits:
    """I_i = <grad f(theta(k)), grad J_i(theta(k))>, the mean of J_i being the objective of the whole round as one minibatch."""
    if on_step is not None:
        on_step()
    policy = restore_policy(snapshot)
    credits = Credits(policy, snapshot, backend, critic=critic)
    kept = np.flatnonzero(snapshot.buffer.kept)
    credits.add(kept, target.gradient(policy), weight=len(kept))
    return credits


LanguageEstimator = Callable[[LanguageSnapshot, TokenTarget, Backend, bool, OnStep | None], Credits]

LANGUAGE_ESTIMATORS: dict[str, LanguageEstimator] = {
    "first_order": first_order,
    "tracin": partial(along_the_update, "tracin"),
    "tracin_adam": partial(along_the_update, "tracin_adam"),
}
"""Estimator name -> what credits a round's tokens; the cheapest first."""
