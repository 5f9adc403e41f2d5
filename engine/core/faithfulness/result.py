"""The outcome of a validation: what it says, in Python, in words and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from engine.core.faithfulness.controls import NULL_TOLERANCE
from engine.errors import BadInputError
from engine.store.words import brief, counted
from engine.typed import AtLeastOne, Count, typed

MOSTLY_NOISE = 0.3
"""Below this ceiling what a removal does is mostly the luck of the minibatch order."""

FEW_SUBSETS = 10
"""With fewer, a high rank correlation is chance too often, and resampling them hides it."""

AveragedName = Annotated[
    str,
    Meta(
        pattern=r"^((?! over )[\s\S])+( over [1-9]\d{0,8} orders)?$(?!\n)",
        extra={"right": "an estimator's name, with its orders"},
    ),
]
TrustVerdict = Literal["predicts", "weakly", "does not", "noise", "few", "failed"]


@dataclass(frozen=True)
class Faithfulness:
    """How well one estimator predicts removal."""

    lds: float
    """Spearman over subsets of predicted against actual effects; NaN where all predictions are equal."""
    low: float
    """Lower end of its 95 % bootstrap interval over subsets."""
    high: float
    slope: float
    """Change of f per unit of predicted change, by least squares."""
    r2: float
    """Share of the actual effects' variance that this line explains; 1 - r2 is the additivity gap."""
    predicted: tuple[float, ...] = field(repr=False)
    """(subsets,) summed influence of what was removed, negated: the predicted change of f, in the estimator's unit."""
    estimator: str = field(default="", compare=False)
    """Whose scores they were; empty where what it was read from does not say."""
    orders: int = field(default=1, compare=False)
    """Minibatch orders that these were a mean over."""


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """What a validation says of itself in the same words in Python and on the disk."""

    round: Count
    snapshot_hash: str
    design: str
    """`random`, or `extremes of <estimator>`."""
    fraction: float
    subsets: Count
    orders: AtLeastOne
    ceiling: float | None
    """Split-half reliability of the outcomes over orders; None for a single order."""
    ceiling_low: float | None
    ceiling_high: float | None
    null_exact: bool | None
    """Whether replaying with nothing removed gave the recorded theta(k+1) bit for bit; None: there is none to compare."""
    null_difference: float | None
    """Distance from it, as a share of the length of the recorded update."""
    fingerprint_equal: bool
    """Whether the round was recorded by the same software on the same kind of machine."""
    device: str = "cpu"
    """Where it was replayed: `cpu` exactly, `cuda` to rounding."""
    seconds: float
    """Wall time of this call; replays that were kept from an earlier one cost nothing."""
    created: float
    """Seconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class Validation(_Measured):
    """What removing records really did in one round to one target, and who predicted it."""

    target: dict[str, Any]
    """The target's description."""
    estimators: Mapping[str, Faithfulness]
    """By `averaged_name`."""
    actual: tuple[float, ...]
    """(subsets,) change of f by the removal, averaged over orders."""
    actual_error: tuple[float, ...]
    """(subsets,) its standard error over orders; NaN for a single order."""
    metasmoothness: float
    """1 where the update responds smoothly to the records' weights, about 0 where derivatives mean nothing."""

    def __repr__(self) -> str:
        asked = f"round {self.round}, {brief(self.target['target'])}: {self.subsets} subsets of {self.share}"
        found = f"; best {brief(self.best)} with LDS {self.estimators[self.best].lds:.2f}" if self.estimators else ""
        return f"Validation({asked}, {counted(self.orders, 'order')}{found})"

    @property
    def share(self) -> str:
        """The share of the records that a subset has, such as `50%`, or `0.05%` for one of two thousand."""
        return f"{100 * self.fraction:.3g}%"

    @property
    def null_held(self) -> bool | None:
        """The null control: bit for bit on an equal fingerprint, within `NULL_TOLERANCE` on another; None: not checked."""
        if self.null_difference is None:
            return None
        return bool(self.null_exact) or (not self.fingerprint_equal and self.null_difference <= NULL_TOLERANCE)

    @property
    def null_sentence(self) -> str:
        """What the null control found, in words."""
        if self.null_difference is None:
            return "not possible, because the run has no checkpoint of the round after this one"
        if self.null_exact:
            return "exact, replaying with nothing removed gives the next round's parameters bit for bit"
        off = f"the replay with nothing removed ends {self.null_difference:.2g} of the update's length off"
        if self.fingerprint_equal:
            return f"FAILED, {off}; the figures can't be trusted"
        return f"{'held' if self.null_held else 'FAILED'} on another machine than the recording one, {off}"

    @property
    def best(self) -> str:
        """The estimator with the highest LDS."""
        return self.best_of(self.estimators)

    def best_of(self, names: Iterable[str]) -> str:
        """The one of these with the highest LDS."""
        return max(names, key=lambda name: np.nan_to_num(self.estimators[name].lds, nan=-math.inf))

    def verdict(self, estimator: str) -> TrustVerdict:
        """Whether the estimator can be trusted here.

        `predicts`: its interval lies above 0, and it reaches half of the ceiling; `weakly`: only the former; `does not`:
        neither; `noise`: the outcomes themselves are mostly order noise; `few`: there are fewer than `FEW_SUBSETS`; `failed`:
        the null control did, so that nothing can be said.
        """
        if self.null_held is False:
            return "failed"
        if self.subsets < FEW_SUBSETS:
            return "few"
        found, ceiling = self.estimators[estimator], 1.0 if self.ceiling is None else self.ceiling
        if not ceiling >= MOSTLY_NOISE:
            return "noise"
        if not found.low > 0:
            return "does not"
        return "predicts" if found.lds >= ceiling / 2 else "weakly"

    def sentence(self, estimator: str) -> str:
        """`first_order predicts removal here: LDS 0.60 (0.41 to 0.74) of a possible 0.86`."""
        found, verdict = self.estimators[estimator], self.verdict(estimator)
        figures = f"LDS {found.lds:.2f} ({found.low:.2f} to {found.high:.2f})"
        if math.isnan(found.lds):
            figures = "all its predictions are equal"
        elif self.ceiling is not None:
            figures += f" of a possible {max(self.ceiling, 0):.2f}"
        match verdict:
            case "failed":
                what = f"nothing can be said of {estimator} here, because the replay with nothing removed went wrong"
            case "few":
                what = f"{self.subsets} subsets are too few to say whether {estimator} predicts removal"
            case "noise":
                what = f"what removal does here is mostly minibatch-order noise, which hides whether {estimator} predicts it"
            case "weakly":
                what = f"{estimator} predicts removal weakly here"
            case "does not":
                wrong = found.high < 0
                what = (
                    f"{estimator} predicts the opposite of what removal does here"
                    if wrong
                    else (f"{estimator} does not predict removal here")
                )
            case _:
                what = f"{estimator} predicts removal here"
        return f"{what}: {figures}"

    def to_json(self) -> dict[str, Any]:
        """What `validate --json` prints; what is not defined is null."""
        values = asdict(self)
        values["target"], values["target_description"] = self.target["target"], self.target
        values["estimators"] = {
            name: {key: found[key] for key in ("lds", "low", "high")} for name, found in values["estimators"].items()
        }
        values["additivity"] = {name: {"slope": f.slope, "r2": f.r2} for name, f in self.estimators.items()}
        values["predicted"] = {name: f.predicted for name, f in self.estimators.items()}
        defined: dict[str, Any] = _without_nan(values)
        return defined

    @classmethod
    def from_json(cls, values: Mapping[str, Any], scored: Iterable[ScoredBy] = ()) -> Validation:
        """The inverse of `to_json`.

        Args:
            values: what it gave.
            scored: what the names of its estimators stand for, which it does not say.

        Raises:
            BadInputError: it is not such an object.
        """
        found = typed(WrittenValidation, values)
        columns = [found.actual, found.actual_error, *found.predicted.values()]
        if not found.estimators or any(len(column) != found.subsets for column in columns):
            raise BadInputError("it has no number for each subset")
        if not found.estimators.keys() == found.additivity.keys() == found.predicted.keys():
            raise BadInputError("its estimators differ from one part to the other")
        if found.target_description.get("target") != found.target:
            raise BadInputError("it names two targets")
        stands_for = {each.name: each for each in scored}
        return cls(
            **{each.name: getattr(found, each.name) for each in fields(_Measured)},
            target=found.target_description,
            estimators={name: found.of(name, stands_for.get(name)) for name in found.estimators},
            actual=_with_nan(found.actual),
            actual_error=_with_nan(found.actual_error),
            metasmoothness=_with_nan([found.metasmoothness])[0],
        )


@dataclass(frozen=True)
class ScoredBy:
    """What an `averaged_name` stands for; stored beside a validation."""

    name: str
    estimator: str
    orders: AtLeastOne


@dataclass(frozen=True)
class WrittenScore:
    """How well an estimator predicts removal; null where it is not defined."""

    lds: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class WrittenFit:
    """How the predictions add up."""

    slope: float | None
    r2: float | None


@dataclass(frozen=True, kw_only=True)
class WrittenValidation(_Measured):
    """The types of `Validation.to_json`; what is not defined is null."""

    target: str
    target_description: dict[str, Any]
    estimators: dict[AveragedName, WrittenScore]
    additivity: dict[str, WrittenFit]
    predicted: dict[str, tuple[float | None, ...]]
    actual: tuple[float | None, ...]
    actual_error: tuple[float | None, ...]
    metasmoothness: float | None

    def of(self, name: str, by: ScoredBy | None) -> Faithfulness:
        """What is said of the estimator of that `averaged_name`, which stands for these scores."""
        score, fit = self.estimators[name], self.additivity[name]
        lds, low, high, slope, r2 = _with_nan((score.lds, score.low, score.high, fit.slope, fit.r2))
        found = Faithfulness(lds, low, high, slope, r2, _with_nan(self.predicted[name]))
        return found if by is None else replace(found, estimator=by.estimator, orders=by.orders)


def defined(value: float) -> float | None:
    """NaN is what has no value."""
    return None if math.isnan(value) else value


def _without_nan(value: Any) -> Any:
    match value:
        case float():
            return defined(value)
        case Mapping():
            return {key: _without_nan(each) for key, each in value.items()}
        case tuple() | list():
            return [_without_nan(each) for each in value]
    return value


def _with_nan(values: Sequence[float | None]) -> tuple[float, ...]:
    """Numbers as they were before null took the place of NaN."""
    return tuple(math.nan if value is None else value for value in values)
