"""What an autopsy of two runs found, as it is kept and printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.analysis.incidents.apart import Stretch
from engine.analysis.paired_rounds import RoundDifference
from engine.intervals import Interval
from engine.intervention.autopsy.wording import shown, signed

PartedVerdict = Literal["never parted", "luck", "policy", "parted"]
PARTED_WORDS: Mapping[PartedVerdict, str] = {
    "never parted": "The two runs never parted, as far as their episodes tell.",
    "luck": "They parted by luck: trained on from there with other luck, the lower run recovers.",
    "policy": "They parted in what they had learned: with other luck too, the lower run does not recover from there.",
    "parted": "They parted; whether the lower run would recover from there is not certain.",
}
"""What each verdict says."""
TOO_FEW = "Too few episodes ended in the two runs to tell whether they parted."


@dataclass(frozen=True)
class Parting:
    """Where two runs parted: the first round whose policies differ, of those that are stored in both."""

    round: int
    before: int | None
    """The last stored round before it; its policies do not differ for certain. None where they differ from the first on."""
    until: int | None
    """The last round in which the returns of training differ; None where they do so up to the end."""
    returns: tuple[float, float]
    """Mean return of the lower run's policy and of the other's; on common seeds, where they could be played."""
    difference: Interval | None
    """Lower run less the other; paired, corrected for the rounds that were looked at. None where nothing can be played."""
    episodes: int
    """Of each policy; 0 where nothing was played, so that the round and the returns are those of training."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        by = self.difference
        return {
            "round": self.round,
            "before": self.before,
            "until": self.until,
            "lower": self.returns[0],
            "higher": self.returns[1],
            "difference": None if by is None else {"difference": by.value, "low": by.low, "high": by.high},
            "episodes": self.episodes,
        }


@dataclass(frozen=True)
class Recovery:
    """The lower run trained on from where they parted, with other luck."""

    first: int
    """The round that it is trained on from."""
    last: int
    """The round whose policies are compared."""
    luck: tuple[str, ...]
    """Whose luck each of the trainings had."""
    ends: tuple[float, ...]
    """(trainings,) their mean returns."""
    mean: Interval
    """Over the trainings."""
    difference: Interval
    """To the lower run as it was recorded."""
    recorded: float
    """Mean return of the lower run's recorded policy."""
    higher: float
    """The other run's."""

    @property
    def verdict(self) -> PartedVerdict:
        """Whether it recovers: ends above the recorded one for certain, by half of what that lacks to the other run at least."""
        half = (self.higher - self.recorded) / 2
        if self.difference.low > 0 and self.difference.value >= half:
            return "luck"
        return "policy" if self.difference.high < max(half, 0) else "parted"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "first": self.first,
            "last": self.last,
            "trainings": [{"luck": luck, "mean": end} for luck, end in zip(self.luck, self.ends, strict=True)],
            "mean": self.mean.value,
            "low": self.mean.low,
            "high": self.mean.high,
            "difference": self.difference.value,
            "difference_low": self.difference.low,
            "difference_high": self.difference.high,
            "recorded": self.recorded,
            "higher": self.higher,
        }


@dataclass(frozen=True)
class TwoRunsAutopsy:
    """Where two runs of one setting parted, what differed before, and whether the lower one recovers from there."""

    run: str
    other: str
    differs: Mapping[str, tuple[Any, Any]]
    """Settings that are not the same, but for the seed and the number of rounds: value in the run, and in the other."""
    stretches: tuple[Stretch, ...]
    """Rounds in which the returns of training differ by more than their noise."""
    left_out: Mapping[str, str]
    """What could not be done, with the reason."""
    lower: str = ""
    """The one of them whose returns are lower where they parted; empty where they did not."""
    parted: Parting | None = None
    looked_at: tuple[RoundDifference, ...] = ()
    """Numbers of the rounds before it: the run's less the other's."""
    looked_rounds: tuple[int, ...] = ()
    recovery: Recovery | None = None
    verdict: PartedVerdict = "never parted"
    next: str = ""
    """One thing to try, as a command; empty where there is none."""

    def __repr__(self) -> str:
        where = "" if self.parted is None else f" at round {self.parted.round}"
        return f"TwoRunsAutopsy({self.run}, {self.other}{where}: {self.verdict})"

    @property
    def meaning(self) -> str:
        """What the verdict says."""
        return PARTED_WORDS[self.verdict]

    @property
    def sentence(self) -> str:
        """The verdict in words, with what it rests on."""
        return " ".join(words for words in (self.meaning, self._where(), self._before(), self._recovery()) if words)

    def _where(self) -> str:
        parted = self.parted
        if parted is None:
            seen = ", ".join(f"{each.first} to {each.last}" for each in self.stretches)
            return f"Their returns of training differed in rounds {seen}." if seen else self.left_out.get("returns", "")
        low, high = parted.returns
        again = (
            ""
            if parted.until is None
            else f" After round {parted.until} they were alike again, or the other way round."
        )
        if parted.difference is None:
            differ = f"{low:.4g} in {self.lower}, {high:.4g} in the other"
            return f"From round {parted.round} on the returns of training differ: {differ}.{again}"
        return (
            f"At round {parted.round} the policy of {self.lower} scores {low:.4g} and the other's {high:.4g}: "
            f"{signed(parted.difference)} on {parted.episodes} common seeds.{again}"
        )

    def _before(self) -> str:
        found = [each.name.replace("_", " ") for each in self.looked_at if each.beyond_noise]
        if not self.looked_rounds:
            return ""
        rounds = f"rounds {self.looked_rounds[0]} to {self.looked_rounds[-1]}"
        if not found:
            return f"In {rounds}, before it, no number differs beyond its noise."
        return f"In {rounds}, before it, they differ in {', '.join(found)}."

    def _recovery(self) -> str:
        found = self.recovery
        if found is None:
            return ""
        return (
            f"From theta({found.first}) with other luck it scores {shown(found.mean)} at round {found.last}, as recorded "
            f"{found.recorded:.4g}, and the other run {found.higher:.4g}."
        )

    def to_json(self) -> dict[str, Any]:
        """What `autopsy --against --json` prints."""
        return {
            "run": self.run,
            "other": self.other,
            "lower": self.lower or None,
            "differs": {name: list(values) for name, values in self.differs.items()},
            "stretches": [each.to_json() for each in self.stretches],
            "parted": None if self.parted is None else self.parted.to_json(),
            "looked_at": [each.to_json() for each in self.looked_at],
            "looked_rounds": list(self.looked_rounds),
            "recovery": None if self.recovery is None else self.recovery.to_json(),
            "left_out": dict(self.left_out),
            "verdict": self.verdict,
            "sentence": self.sentence,
            "next": self.next or None,
        }
