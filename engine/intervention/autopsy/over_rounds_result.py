"""What an autopsy over many rounds found, as it is kept and printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.intervals import Interval
from engine.intervention.autopsy.autopsy_result import TwoPolicies
from engine.intervention.autopsy.wording import shown, signed

LongCause = Literal["luck", "step", "records"]
LongVerdict = LongCause | Literal["rose", "settled", "unexplained"]
Moved = Literal["rose", "decayed", "plateau"]
LONG_WORDS: Mapping[tuple[Moved, LongVerdict], str] = {
    ("rose", "rose"): "The policy got better for certain: there is no decay to explain.",
    ("decayed", "luck"): "A real decay by luck: trained on from the same policy, the same settings do not lead to it.",
    ("decayed", "step"): "The steps are too large: with a smaller learning rate the policy ends better.",
    (
        "decayed",
        "records",
    ): "Some records do it: with the worst of each round filtered or repaired the policy ends better.",
    (
        "decayed",
        "unexplained",
    ): "A real decay; other luck does not take it back for certain, nor does any arm end higher than that for certain.",
    ("plateau", "luck"): "A standstill by luck: trained on from the same policy, the same settings get further.",
    ("plateau", "step"): "The steps are too large to get further: with a smaller learning rate the policy ends better.",
    (
        "plateau",
        "records",
    ): "Some records hold it back: with the worst of each round filtered or repaired the policy ends better.",
    (
        "plateau",
        "settled",
    ): "Neither better nor worse for certain; other luck ends no higher for certain, nor any arm higher than that.",
}
"""What each verdict says."""


@dataclass(frozen=True)
class LongChange(TwoPolicies):
    """The policies of two rounds."""

    @property
    def moved(self) -> Moved:
        """What the policy did, as far as its episodes tell for certain."""
        return "rose" if self.change.low > 0 else "decayed" if self.change.high < 0 else "plateau"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return super().to_json() | {"moved": self.moved}


@dataclass(frozen=True)
class LongArm:
    """What came of an arm: trainings from the first round on with one thing otherwise, each with luck of its own."""

    name: str
    cause: LongCause
    curve: Mapping[int, Interval]
    """Round -> return of its policies there; over the arm's trainings."""
    difference: Interval
    """Of the return at the end to that of the run as recorded; corrected for the number of arms beside that of luck alone."""
    over_luck: Interval | None
    """The same to the arm whose luck alone is another one (Welch); None for that arm itself."""
    replicates: int

    @property
    def mean(self) -> Interval:
        """Return at the end."""
        return self.curve[max(self.curve)]

    def to_json(self) -> dict[str, Any]:
        """Plain values; None for what is not known."""
        over = self.over_luck
        return {
            "name": self.name,
            "cause": self.cause,
            **_bounds("", self.mean, "mean"),
            **_bounds("difference", self.difference),
            "over_luck": None if over is None else _bounds("", over, "difference"),
            "replicates": self.replicates,
            "curve": [{"round": k, **_bounds("", each, "mean")} for k, each in self.curve.items()],
        }


def _bounds(name: str, interval: Interval, value: str = "") -> dict[str, float]:
    before = f"{name}_" if name else ""
    return {value or name: interval.value, f"{before}low": interval.low, f"{before}high": interval.high}


@dataclass(frozen=True)
class RoundsAutopsy:
    """Why a run did not get better between two of its rounds, and what would have."""

    run: str
    first: int
    last: int
    recorded: Mapping[int, float]
    """Round -> mean return of the recorded policy on the common seeds."""
    real: LongChange
    arms: tuple[LongArm, ...]
    """Empty where the policy got better."""
    left_out: Mapping[str, str]
    """Arms that can't be had, with the reason."""
    verdict: LongVerdict
    next: str
    """One thing to try, as a command; empty where there is none."""

    def __repr__(self) -> str:
        return f"RoundsAutopsy(rounds {self.first} to {self.last}: {self.verdict}; {self.meaning})"

    @property
    def meaning(self) -> str:
        """What the verdict says."""
        return LONG_WORDS[self.real.moved, self.verdict]

    @property
    def sentence(self) -> str:
        """The verdict in words, with what it rests on."""
        real = self.real
        went = (
            f"From round {self.first} to {self.last} the policy went from {real.before:.4g} to {real.after:.4g}: "
            f"{signed(real.change)} on {real.episodes} common seeds."
        )
        ends = "; ".join(f"{arm.name}: {shown(arm.mean)}" for arm in self.arms)
        return f"{self.meaning} {went}" + (f" At round {self.last}, {ends}." if ends else "")

    def to_json(self) -> dict[str, Any]:
        """What `autopsy --rounds A:B --json` prints."""
        return {
            "run": self.run,
            "rounds": [self.first, self.last],
            "real": self.real.to_json(),
            "recorded": [{"round": k, "mean": mean} for k, mean in self.recorded.items()],
            "arms": [arm.to_json() for arm in self.arms],
            "left_out": dict(self.left_out),
            "verdict": self.verdict,
            "sentence": self.sentence,
            "next": self.next or None,
        }
