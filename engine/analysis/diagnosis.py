"""What features the bottom records: how they differ from the rest of the buffer (paper, section 4.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.effects import LEAST_CLUSTERS, cliffs_delta, rank_correlation
from engine.analysis.features import features
from engine.analysis.restoring import CannotRestoreError
from engine.analysis.rollout_advantages import ROLLOUTS, MonteCarlo, check_settings, monte_carlo
from engine.core.chosen_targets import chosen_target
from engine.core.estimators.registry import DEFAULT_ESTIMATOR
from engine.core.faithfulness.result import defined
from engine.core.features import Feature
from engine.core.gradients.attribution import top_and_bottom
from engine.core.influence import influence
from engine.core.kind import kind_of
from engine.core.scores import Scores
from engine.core.targets.functions import Target
from engine.core.targets.question import Question, TargetName
from engine.errors import BadInputError
from engine.executors import Progress
from engine.intervals import Interval
from engine.store.read import Run, snapshot_of
from engine.store.snapshot import Float32s, Snapshot, check_records
from engine.store.words import counted

FRACTION = 0.1
SAMPLE = 200
"""Records whose A-bar is estimated by default where records don't share states."""
FEW_CLUSTERS = 10
LOW_RELIABILITY = 0.5


@dataclass(frozen=True)
class Trait:
    """How the bottom records differ from the rest in one feature."""

    name: str
    delta: float
    """Cliff's delta: 1 where all bottom records have more of it than all others, -1 where less; for yes or no the
    difference of the shares."""
    low: float
    high: float
    """Interval over the clusters (episodes, prompts) that holds at 95 % for all traits at once; NaN where one side comes in
    fewer than five of them."""
    bottom: float
    rest: float
    """`middle` of the bottom records and of the rest."""
    middle: str
    """`share` for yes or no, else `median`, or `mean` where the medians are equal."""
    phrase: str = ""
    """As `Feature.phrase`."""

    def __repr__(self) -> str:
        return f"Trait({self.sentence})"

    @property
    def certain(self) -> bool:
        """Whether the interval leaves no doubt about the direction."""
        return self.low > 0 or self.high < 0

    @property
    def sentence(self) -> str:
        """`72 % took action left, 20 % of the rest`; `lower advantage: median -0.3, of the rest 0.1`."""
        if self.phrase:
            return f"{self.bottom:.0%} {self.phrase}, {self.rest:.0%} of the rest"
        more = "higher" if self.delta > 0 else "lower"
        texts = ([f"{value:.{digits}g}" for value in (self.bottom, self.rest)] for digits in (3, 4, 5, 6, 9))
        bottom, rest = next((pair for pair in texts if pair[0] != pair[1]), (self.bottom, self.rest))
        return f"{more} {self.name}: {self.middle} {bottom}, of the rest {rest}"


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What features the bottom records of a round, and all that it was made of."""

    round: int
    scores: Scores
    fraction: float
    bottom: NDArray[np.int64]
    """The lowest fraction of the ranked records, as far as their influence is negative; worst first."""
    cluster: str
    """What records that resemble each other belong to, and intervals are over: `episode`, `prompt`, ..."""
    estimated: MonteCarlo | None
    """None where no rollouts were asked for, or none are possible."""
    columns: dict[str, NDArray[np.float64]]
    """Feature -> (n,) values by record number."""
    correlations: dict[str, Interval]
    """Feature -> its rank correlation with influence, bootstrapped over clusters; without those that never vary."""
    traits: tuple[Trait, ...]
    """Largest |delta| first."""
    notes: tuple[str, ...]
    """What a reader must know, a line each."""

    def __repr__(self) -> str:
        bottom = f"{len(self.bottom):,} bottom records of {len(self.scores):,}"
        return f"Diagnosis(round {self.round}: {bottom}, {counted(len(self.in_common), 'trait')} in common)"

    @property
    def ranked(self) -> int:
        """How many records are compared: all but those from which nothing was learned."""
        return len(self.scores) - int(np.count_nonzero(self.scores.no_signal))

    @property
    def in_common(self) -> tuple[Trait, ...]:
        """The traits whose direction is certain."""
        return tuple(trait for trait in self.traits if trait.certain)

    def bearing(self, trait: Trait) -> NDArray[np.int64]:
        """The bottom records that bear a trait out, worst first: those on its side of the middle of the rest."""
        values = self.columns[trait.name][self.bottom]
        return self.bottom[values > trait.rest if trait.delta > 0 else values < trait.rest]

    def to_json(self) -> dict[str, Any]:
        """What `diagnose --json` prints; what is not defined is null."""
        estimated = self.estimated
        return {
            "round": self.round,
            "target": self.scores.target["target"],
            "target_description": self.scores.target,
            "estimator": self.scores.estimator,
            "fraction": self.fraction,
            "bottom": self.bottom.tolist(),
            "correlations": {
                name: {"value": defined(found.value), "low": defined(found.low), "high": defined(found.high)}
                for name, found in self.correlations.items()
            },
            "traits": [
                {
                    "name": trait.name,
                    "sentence": trait.sentence,
                    "certain": trait.certain,
                    **{key: defined(getattr(trait, key)) for key in ("delta", "low", "high", "bottom", "rest")},
                }
                for trait in self.traits
            ],
            "monte_carlo": None
            if estimated is None
            else {
                "record": estimated.record[estimated.restored].tolist(),
                "reliability": defined(estimated.reliability),
                **{
                    name: getattr(estimated, name)[estimated.restored].tolist()
                    for name in ("advantage", "error", "value", "rollouts")
                },
            },
            "not_restored": [] if estimated is None else estimated.record[~estimated.restored].tolist(),
            "notes": list(self.notes),
        }


def diagnose(
    source: Snapshot | Run | str | Path,
    target: Target | TargetName | Question | str | None = None,
    estimator: str = DEFAULT_ESTIMATOR,
    *,
    round: int | None = None,
    fraction: float = FRACTION,
    records: Any = None,
    rollouts: int = ROLLOUTS,
    executor: str = "processes",
    workers: int | None = None,
    report: Progress = lambda doing, done, total: None,
) -> Diagnosis:
    """Say what the bottom records of a round have in common.

    >>> import engine
    >>> found = engine.diagnose("sample_runs/FrozenLake-v1", round=8, rollouts=4, executor="inline")
    >>> next(trait.sentence for trait in found.in_common if "sign" in trait.sentence)
    '9...% have an advantage of the wrong sign, 2...% of the rest'

    Every feature of the bottom records is compared with the rest of the buffer, whatever the kind of run: what is known of a
    record is its kind's (`Kind.features`), and intervals are over what resembles each other there (episodes; the responses
    to a prompt). Records without a signal, see `Scores.no_signal`, are on neither side. For the paper's explanation, that bottom
    records are those whose advantage estimate A-hat is wrong, A-bar is estimated by rollouts (see `analysis.rollout_advantages`):
    influence on the return then goes with A-bar x A-hat, positively, because a record whose A-hat has the wrong sign pushes
    its action's probability the wrong way.

    Args:
        source: round k, or a run (then say which round).
        target: as `influence`; a `Question` says the estimator, too.
        estimator: of the influence.
        round: k, where `source` is a run.
        fraction: share of the records that are the bottom, above 0 and at most 0.5.
        records: whose A-bar to estimate: record numbers; by default all of a round with discrete observations, whose records
            share rollouts, and else 200, evenly over the ranking by influence.
        rollouts: of each mean that A-bar is made of; 0 leaves A-bar out. Only control tasks have some.
        executor: `processes`, `inline` or `ray`; `processes` needs a main module that can be imported again.
        workers: processes at a time; by default one a core.
        report: told what is done, of how much; raise from it to cancel. Finished rollouts are kept.

    Raises:
        BadInputError: bad settings, unknown target or estimator, a target whose gradient is zero, an action that the policy
            gives probability 0, or records to estimate where no rollouts can be played.
    """
    snapshot = snapshot_of(source, round)
    _check_fraction(fraction)
    if rollouts:
        check_settings(rollouts, executor, workers)
    chosen = chosen_target(snapshot, target)
    kind, n = kind_of(snapshot), len(snapshot.buffer)
    kind.check_possible(snapshot, chosen)
    wanted = None if records is None else check_records(records, n)
    if wanted is not None and kind.no_rollouts:
        raise BadInputError(f"A-bar can't be estimated of any record: {kind.no_rollouts}; leave out which")
    by = target.estimator if isinstance(target, Question) else estimator
    asked = target if isinstance(target, Question) else chosen
    scores = influence(snapshot, asked, estimator, on_step=lambda done, total: report(by, done, total))
    notes: list[str] = []
    estimated = None
    if rollouts and kind.no_rollouts:
        notes.append(f"nothing is said of A-bar: {kind.no_rollouts}")
    elif rollouts:
        wanted = records_to_estimate(snapshot, scores.influence) if wanted is None else wanted
        try:
            estimated = monte_carlo(snapshot, wanted, rollouts, executor=executor, workers=workers, report=report)
            notes += about_rollouts(estimated, n)
        except CannotRestoreError as error:
            notes.append(f"nothing is said of A-bar: {error}")
    report("comparing the bottom records with the rest", 0, 1)
    found = compare(snapshot, scores, features(snapshot, estimated), fraction, estimated, notes)
    report("comparing the bottom records with the rest", 1, 1)
    return found


def compare(
    snapshot: Snapshot,
    scores: Scores,
    found: Sequence[Feature],
    fraction: float = FRACTION,
    estimated: MonteCarlo | None = None,
    notes: Sequence[str] = (),
) -> Diagnosis:
    """The second half of `diagnose`, for scores and features that are there already.

    Args:
        snapshot: round k.
        scores: influence of its records.
        found: `features` of its records.
        fraction: share of the records that are the bottom, above 0 and at most 0.5.
        estimated: what the features know of A-bar.
        notes: what else a reader must know.

    Raises:
        BadInputError: the fraction is out of range.
    """
    _check_fraction(fraction)
    word, cluster = _clusters(snapshot)
    no_signal = scores.no_signal if len(scores.no_signal) else np.zeros(len(scores), bool)
    bottom = top_and_bottom(scores.influence, max(1, math.floor(fraction * np.count_nonzero(~no_signal))))[1]
    ranked = [replace(feature, values=np.where(no_signal, math.nan, feature.values)) for feature in found]
    return Diagnosis(
        round=snapshot.round,
        scores=scores,
        fraction=fraction,
        bottom=bottom,
        cluster=word,
        estimated=estimated,
        columns={feature.name: feature.values for feature in found},
        correlations=_correlations(snapshot, scores.influence, ranked, cluster),
        traits=_traits(bottom, ranked, cluster),
        notes=(*notes, *_about_round(snapshot, no_signal, word, cluster)),
    )


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction <= 0.5:
        raise BadInputError(f"fraction is {fraction:g}; the bottom is a part above 0 and at most 0.5, such as 0.1")


def _clusters(snapshot: Snapshot) -> tuple[str, NDArray[Any]]:
    """`Kind.groups`; of a kind that knows none every record stands for itself."""
    try:
        return kind_of(snapshot).groups(snapshot)
    except BadInputError:
        return "record", snapshot.buffer.record


def _about_round(snapshot: Snapshot, no_signal: NDArray[np.bool_], word: str, cluster: NDArray[Any]) -> list[str]:
    """What its records don't allow to say."""
    kind, notes = kind_of(snapshot), []
    if no_signal.any():
        what = f"{np.count_nonzero(no_signal)} of {len(no_signal)} {kind.words.records}"
        notes.append(f"{what} have no signal: nothing was learned from them, so they are compared with nothing")
    notes += kind.unknown(snapshot)
    count = len(np.unique(cluster[~no_signal]))
    if count < FEW_CLUSTERS:
        trouble = "too few for intervals over them" if count < LEAST_CLUSTERS else "intervals over them are rough"
        notes.append(f"the round has only {counted(count, word)}: {trouble}")
    return notes


def records_to_estimate(snapshot: Snapshot, scores: Float32s) -> NDArray[np.int64]:
    """Whose A-bar is estimated by default: all records where they share states, else 200 from all over the ranking."""
    n = len(scores)
    spaces = kind_of(snapshot).spaces(snapshot)
    if (spaces is not None and spaces[0].kind == "discrete") or n <= SAMPLE:
        return np.arange(n)
    return np.argsort(scores, kind="stable")[np.linspace(0, n - 1, SAMPLE).round().astype(np.int64)]


def about_rollouts(estimated: MonteCarlo, n: int) -> list[str]:
    """What is to be known of the rollouts, a line each; n is the number of the round's records."""
    m, failed, notes = len(estimated.record), estimated.record[~estimated.restored], []
    if m < n:
        notes.append(f"A-bar was estimated for {m} of {n} records")
    if len(failed):
        named = ", ".join(map(str, failed[:5])) + (", ..." if len(failed) > 5 else "")
        notes.append(
            f"the states of {len(failed)} of them could not be restored (records {named}): the environment shows something "
            "else than the recording on the way (another version of it?)"
        )
    if estimated.reliability < LOW_RELIABILITY:
        notes.append(
            f"{1 - estimated.reliability:.0%} of the variance of A-bar is noise of the rollouts: ask for more of them"
        )
    return notes


def _correlations(
    snapshot: Snapshot, scores: Float32s, found: Sequence[Feature], cluster: NDArray[Any]
) -> dict[str, Interval]:
    rng = np.random.default_rng([snapshot.config.seed, snapshot.round])
    correlations = {}
    for feature in found:
        known = ~np.isnan(feature.values)
        if not feature.phrase and known.any() and np.ptp(feature.values[known]) > 0:
            columns = scores[known], feature.values[known], cluster[known]
            correlations[feature.name] = rank_correlation(*columns, rng)
    return correlations


def _traits(bottom: NDArray[np.int64], found: Sequence[Feature], cluster: NDArray[Any]) -> tuple[Trait, ...]:
    """Features that vary and are known on both sides, compared."""
    at_bottom = np.isin(np.arange(len(cluster)), bottom)
    comparable = []
    for feature in found:
        known = ~np.isnan(feature.values)
        values, inside = feature.values[known], at_bottom[known]
        if inside.any() and not inside.all() and np.ptp(values) > 0:
            comparable.append((feature, values, inside, cluster[known]))
    traits = []
    for feature, values, inside, clusters in comparable:
        delta = cliffs_delta(values, inside, clusters, len(comparable))
        traits.append(Trait(feature.name, *delta, *_middles(feature, values, inside), feature.phrase))
    return tuple(sorted(traits, key=lambda trait: -abs(trait.delta)))


def _middles(feature: Feature, values: NDArray[np.float64], inside: NDArray[np.bool_]) -> tuple[float, float, str]:
    """Where both sides lie, and what that is."""
    medians = float(np.median(values[inside])), float(np.median(values[~inside]))
    if not feature.phrase and medians[0] != medians[1]:
        return *medians, "median"
    return float(values[inside].mean()), float(values[~inside].mean()), "share" if feature.phrase else "mean"
