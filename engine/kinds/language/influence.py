"""Influence of a round's sequences, and of their tokens, on a target of the language model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.core.backends import Backend
from engine.core.checkpoint import one_thread
from engine.core.estimators import DEFAULT_ESTIMATOR
from engine.core.path import OnStep
from engine.errors import BadInputError
from engine.kinds.language.advantages import totals
from engine.kinds.language.credits import Credits
from engine.kinds.language.grpo import without_signal
from engine.kinds.language.models import restore_policy
from engine.kinds.language.path import along_the_update
from engine.kinds.language.sequences import LanguageSnapshot, SequenceBuffer
from engine.kinds.language.targets import TokenTarget, language_target
from engine.store.derived import kept_columns, load_table, save_table
from engine.store.snapshot import Float32s

REPLAYED = 3.0
"""Times that an update's own time goes into following it for an estimator."""
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
    >>> snapshot = engine.open_run("sample_runs/courtesy").language_snapshot(0)
    >>> scores = engine.sequence_influence(snapshot, "sequence")
    >>> snapshot.buffer.response[scores.influence.argmin()]
    ' usually a tourist .'

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
    if estimator not in LANGUAGE_ESTIMATORS:
        raise BadInputError(
            f"unknown estimator {estimator!r}; for language models there is {', '.join(LANGUAGE_ESTIMATORS)}"
        )
    place = _Place.of(snapshot, target, estimator, critic)
    found = place.read() if cache and backend == "jvp" and not refresh else None
    if found is not None:
        return found
    one_thread()
    credits = LANGUAGE_ESTIMATORS[estimator](snapshot, place.target, backend, critic, on_step)
    if backend != "jvp":
        return place.scores(credits.by_record().astype(np.float32), None)
    tokens = credits.by_token().astype(np.float32)
    if cache:
        place.keep(tokens)
    return place.scores(summed(snapshot.buffer, tokens), tokens)


def read_sequence_influence(
    snapshot: LanguageSnapshot,
    target: TokenTarget | str = "sequence",
    estimator: str = "first_order",
    *,
    critic: bool = True,
) -> SequenceScores | None:
    """What `sequence_influence` would answer from the run's cache, without computing anything; None if it would not."""
    return _Place.of(snapshot, target, estimator, critic).read()


def estimate_seconds(snapshot: LanguageSnapshot, estimator: str) -> float:
    """About how many seconds the scores take, from what the round's update took; unknown: as if it took long."""
    update = snapshot.metrics.get("update_seconds") or 60.0
    share = 2 / snapshot.config.n_epochs if estimator == DEFAULT_ESTIMATOR else REPLAYED
    return float(update) * share


@dataclass(frozen=True)
class _Place:
    """Where the scores of one question are kept."""

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
    def path(self) -> Path | None:
        """The run whose cache it is; None for a round that is not committed."""
        return self.snapshot.path if self.snapshot.hash else None

    @property
    def key(self) -> str:
        return hashlib.sha256(self.about.encode()).hexdigest()

    def read(self) -> SequenceScores | None:
        table = None if self.path is None else load_table(self.path, self.key)
        columns = None if table is None else kept_columns(table, {"influence": pa.float32()})
        if columns is None or len(columns["influence"]) != len(self.snapshot.buffer.token):
            return None
        tokens = columns["influence"]
        return self.scores(summed(self.snapshot.buffer, tokens), tokens)

    def keep(self, tokens: Float32s) -> None:
        if self.path is not None:
            table = pa.table({"record": self.snapshot.buffer.record_of_token, "influence": tokens})
            about = {"influence": self.about, "target": self.target.words, "orders": "1"}
            save_table(self.path, self.key, table, about)

    def scores(self, influence: Float32s, tokens: Float32s | None) -> SequenceScores:
        snapshot, about = self.snapshot, self.target.describe()
        quiet = no_signal(snapshot)
        return SequenceScores(influence, tokens, quiet, snapshot.round, about, self.estimator, snapshot.hash)


def no_signal(snapshot: LanguageSnapshot) -> NDArray[np.bool_]:
    """(n,) GRPO: records whose group has nothing to tell apart."""
    buffer = snapshot.buffer
    if snapshot.language.algorithm != "grpo":
        return np.zeros(len(buffer), bool)
    return without_signal(totals(buffer), buffer.group, buffer.kept)


def summed(buffer: SequenceBuffer, tokens: Float32s) -> Float32s:
    """(N,) -> (n,): by record."""
    return np.bincount(buffer.record_of_token, tokens, len(buffer)).astype(np.float32)


def sequence_scores_table(buffer: SequenceBuffer, scores: SequenceScores) -> pa.Table:
    """Columns `record` int32, `influence` float32, `no_signal`, and `token_influence`, a list with a number a token."""
    columns: dict[str, Any] = {"record": buffer.record, "influence": scores.influence, "no_signal": scores.no_signal}
    if scores.token_influence is not None:
        columns["token_influence"] = pa.ListArray.from_arrays(buffer.start.astype(np.int32), scores.token_influence)
    return pa.table(columns)


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
