"""How a behaviour forms, round by round: what the records that pushed it most have in common (paper, section 4.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.relations import Relations, groupings, relations
from engine.analysis.roughness import MOST_VERTICES, nearest_graph, roughness, shuffled_roughness
from engine.analysis.round_by_round import RoundByRound
from engine.core.estimators.registry import DEFAULT_ESTIMATOR
from engine.core.gradients.attribution import top_and_bottom
from engine.core.influence import influence
from engine.core.targets.of_records import ActionTarget
from engine.errors import ZeroGradientError
from engine.kinds.control.blueprint import policy_of
from engine.kinds.control.control_only import control_only
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run
from engine.store.snapshot import Float32s
from engine.typed import typed

VERSION = 1
"""Part of the cache's key; raise it whenever a number of `RoundFormation` changes."""
TOP = 20
"""Records at either end of a round's ranking whose make-up is looked at."""
SHOWN = 5
"""Of those, the ones that are named."""
FEATURES = ("same action", "similar state", "positive advantage")
"""What is asked of the top records; `Relations` says what each of them means."""


@dataclass(frozen=True)
class RoundFormation:
    """What pushed a behaviour in one round. Everything is plain, so that it can be kept and sent."""

    round: int
    records: int
    """In the round's buffer."""
    magnitude: float
    """Mean |I| over the records; 0 where the target has no gradient, because the policy is certain."""
    roughness: float | None
    """Of the influence on the graph of similar states; None without influence."""
    shuffled: float | None
    """What it would be if the same scores were dealt to the records at random."""
    similarity: float | None
    """Mean cosine similarity of the top records' states to the behaviour's; None without top records."""
    top: Mapping[str, float | None]
    """Feature -> share of the top records that have it; None without top records."""
    bottom: Mapping[str, float | None]
    """The same of the bottom records."""
    every: Mapping[str, float]
    """The same of all records: what the top's share would be if it were a random draw."""
    groups: Mapping[str, tuple[float, ...]]
    """Name of a grouping -> summed influence of each of its groups, divided by the sum of |I|: in [-1, 1]."""
    shown: tuple[int, ...]
    """Some top records, then some bottom ones."""
    influence: tuple[float, ...]
    """Of those."""
    same_action: tuple[bool, ...]
    """Whether those took the behaviour's action."""

    @property
    def smoothness(self) -> float | None:
        """Roughness divided by that of shuffled scores: below 1 where influence follows the states."""
        return self.roughness / self.shuffled if self.roughness is not None and self.shuffled else None


@control_only
def form_round(snapshot: ControlSnapshot, target: ActionTarget, estimator: str = DEFAULT_ESTIMATOR) -> RoundFormation:
    """One round's part in how a behaviour formed.

    The graph of the roughness has the round's records as vertices (of more than 512 as many at random, drawn with the
    round's number as the seed), each joined to the 10 whose states are most similar by the cosine similarity of their
    embeddings, which is also the weight. The embedding of a state is the activation of the actor's last hidden layer at
    theta(k).

    Args:
        snapshot: round k.
        target: of one state and action.
        estimator: of the influence.
    """
    scores, related = related_scores(snapshot, target, estimator)
    buffer, n = snapshot.buffer, len(scores)
    rng = np.random.default_rng([snapshot.round, n])
    vertices = np.arange(n) if n <= MOST_VERTICES else np.sort(rng.choice(n, MOST_VERTICES, replace=False))
    of_vertices = scores[vertices]
    rough = roughness(of_vertices, nearest_graph(related.embedding[vertices], rng)) if of_vertices.any() else math.nan
    top, bottom = top_and_bottom(scores, TOP)
    total = float(np.abs(scores).sum(dtype=np.float64)) or 1.0
    sums = {
        grouping.name: np.bincount(grouping.of(related, buffer), scores, minlength=len(grouping.labels)) / total
        for grouping in groupings(snapshot.observation_space, snapshot.action_space)
    }
    shown = np.concatenate([top[:SHOWN], bottom[:SHOWN]])
    return RoundFormation(
        round=snapshot.round,
        records=n,
        magnitude=float(np.abs(scores).mean(dtype=np.float64)),
        roughness=_known(rough),
        shuffled=_known(shuffled_roughness(of_vertices)),
        similarity=float(related.similarity[top].mean()) if len(top) else None,
        top=_shares(related, top),
        bottom=_shares(related, bottom),
        every={name: float(column.mean()) for name, column in _features(related).items()},
        groups={name: tuple(column.tolist()) for name, column in sums.items()},
        shown=tuple(shown.tolist()),
        influence=tuple(scores[shown].tolist()),
        same_action=tuple(related.same_action[shown].tolist()),
    )


@control_only
def related_scores(
    snapshot: ControlSnapshot, target: ActionTarget, estimator: str = DEFAULT_ESTIMATOR
) -> tuple[Float32s, Relations]:
    """(n,) influence of a round's records on a behaviour, 0 where the policy is certain; and how they relate to it."""
    try:
        scores = influence(snapshot, target, estimator).influence
    except ZeroGradientError:
        scores = np.zeros(len(snapshot.buffer), np.float32)
    policy = policy_of(snapshot)
    return scores, relations(policy, snapshot.buffer, target)


def _features(related: Relations) -> dict[str, NDArray[np.bool_]]:
    return dict(zip(FEATURES, (related.same_action, related.similar, related.positive), strict=True))


def _shares(related: Relations, records: NDArray[np.int64]) -> dict[str, float | None]:
    return {
        name: float(column[records].mean()) if len(records) else None for name, column in _features(related).items()
    }


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number


@control_only
def formation(
    run: Run, target: ActionTarget, estimator: str = DEFAULT_ESTIMATOR, *, cache: bool = True
) -> RoundByRound[RoundFormation]:
    """How a behaviour formed over the recorded rounds of a run; iterate to look at those that are not known yet.

    >>> import engine
    >>> run = engine.open_run("sample_runs/FrozenLake-v1")
    >>> found = formation(run, engine.action_target(run.snapshot(12), record=100), cache=False)
    >>> first = next(iter(found))
    >>> found.progress
    (1, 30)

    Args:
        run: one round of it is in memory at a time.
        target: of one state and action.
        estimator: of the influence.
        cache: read from and write to the run's `derived/`.
    """
    question = {"what": "formation of a behaviour", "version": VERSION, "estimator": estimator, **target.describe()}
    return RoundByRound(
        run,
        question,
        run.stored_rounds,
        lambda number: form_round(run.snapshot(number), target, estimator),
        asdict,
        partial(_read, run),
        cache=cache,
    )


def _read(run: Run, values: Any) -> RoundFormation:
    """The inverse of `asdict`; ValueError: it is not what `form_round` finds in this run."""
    found, manifest = typed(RoundFormation, values), run.manifest
    sizes = {each.name: len(each.labels) for each in groupings(manifest.observation_space, manifest.action_space)}
    shown = {len(column) for column in (found.shown, found.influence, found.same_action)}
    if {name: len(sums) for name, sums in found.groups.items()} != sizes or len(shown) != 1:
        raise ValueError("its groups or records are not those of the run")
    if any(set(shares) != set(FEATURES) for shares in (found.top, found.bottom, found.every)):
        raise ValueError("its features are others")
    if not all(0 <= record < manifest.config.records_per_round for record in found.shown):
        raise ValueError("it shows records that no round has")
    return found
