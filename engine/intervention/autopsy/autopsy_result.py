"""What an autopsy found, as it is kept and printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.analysis.checks.checked import Check, Fault
from engine.intervals import Interval
from engine.intervention.autopsy.arm import CAUSES, DATA_ANEW, Cause
from engine.intervention.autopsy.on_records import OnRecords, in_words
from engine.intervention.autopsy.played_arms import PlayedArm, PlayedPolicy, in_turn
from engine.intervention.autopsy.read_sequences import ReadSequence
from engine.intervention.autopsy.watched_episodes import Watched

Verdict = Literal["not real"] | Cause | Fault
WORDS: Mapping[str, str] = {
    "not real": "This update did not make the policy worse, as far as its episodes tell.",
    "order": "A real fall by the luck of the minibatch order: in other orders the same data do not lead to it.",
    "data": "A real fall by the luck of the data: other orders of the same records lead to it, records collected anew do not.",
    "step": "The step was too large: with a smaller one the fall does not happen.",
    "critic": "The critic misjudged the round: with one that is fitted to it first, the same records do not lead to the fall.",
    "advantages": "The advantages misled the update: estimated with another lambda, the same records do not lead to the fall.",
    "records": "Some records did it: without the worst ones the fall does not happen, and without as many random ones it does.",
    "environment": "The environment, or what it reports, is not the one of the rounds before.",
    "numbers": "Some of the numbers are not finite.",
    "unexplained": "A real fall that none of the arms explains.",
}
"""What each verdict says."""
AS_FAULT: Mapping[str, str] = {
    "step": "The step that was taken is not the one that the settings say.",
    "critic": "The critic is not the one that the rounds before left.",
    "advantages": "The advantages were not computed as the settings say.",
    "records": "Some of the records are not what they claim to be.",
    "unexplained": "The update that was recorded is not the one that its record leads to, and it is not known why.",
}
"""What a verdict says that a check of the record led to, where that is something else."""
NOT_YET = "its policies have not been played yet"


@dataclass(frozen=True)
class TwoPolicies:
    """Two policies on common seeds."""

    change: Interval
    """Paired, of the mean return."""
    before: float
    after: float
    episodes: int
    """Of each policy; both meet the same starts and the same luck."""
    seeds: tuple[int, int]
    """The first and the last."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "change": self.change.value,
            "low": self.change.low,
            "high": self.change.high,
            "before": self.before,
            "after": self.after,
            "episodes": self.episodes,
            "seeds": list(self.seeds),
        }


@dataclass(frozen=True)
class Change(TwoPolicies):
    """The policies before and after an update: what it did to the return."""

    training: tuple[float | None, float | None] = (None, None)
    """Mean return of the training episodes of round k, which theta(k) played, and of round k + 1."""
    training_noise: float | None = None
    """Standard error of the difference of the two."""

    @property
    def fell(self) -> bool:
        """Whether the policy got worse for certain."""
        return self.change.high < 0

    @property
    def sentence(self) -> str:
        """In words."""
        moved = f"{self.before:.4g} before the update, {self.after:.4g} after it"
        interval = f"{self.change.value:+.3g} ({self.change.low:+.3g} to {self.change.high:+.3g})"
        return f"{moved}: {interval} on {self.episodes} common seeds"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return super().to_json() | {
            "training_before": self.training[0],
            "training_after": self.training[1],
            "training_noise": self.training_noise,
        }


@dataclass(frozen=True)
class Autopsy:
    """What happened in the update of a round, and what would have prevented it."""

    run: str
    round: int
    checks: tuple[Check, ...]
    real: Change | None
    """None where nothing can be played."""
    unplayed: str
    """Why nothing was played; empty where it was."""
    arms: tuple[PlayedArm, ...]
    left_out: Mapping[str, str]
    """Arms that can't be had, with the reason; of a fall alone."""
    verdict: Verdict
    next: str
    """One thing to try, as a command; empty where there is none."""
    recorded: tuple[PlayedPolicy, ...] = ()
    """The policies before and after the update on the seeds of the arms, where some were played."""
    on_records: tuple[OnRecords, ...] | None = ()
    """What replays say of later records where nothing can be played; None where they are still to be asked."""
    watch: tuple[Watched, ...] = ()
    """Three episodes to watch, where records are steps of some: played by both policies, or recorded where nothing was."""
    read: tuple[ReadSequence, ...] = ()
    """Three sequences to read, where records are some, and it is known how much the update moved them."""

    def __repr__(self) -> str:
        return f"Autopsy(round {self.round}: {self.verdict}; {self.meaning})"

    @property
    def waits(self) -> bool:
        """Whether policies are still to be played, or to be asked about records."""
        return self.unplayed == NOT_YET or self.on_records is None

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that found a fault, that of the verdict first."""
        wrong = [each for each in self.checks if each.ok is False]
        return tuple(sorted(wrong, key=lambda each: each.fault != self.verdict))

    @property
    def meaning(self) -> str:
        """What the verdict says."""
        if self.real is None and not self.failed:
            return "What the update did to the return is not known."
        return AS_FAULT.get(self.verdict, WORDS[self.verdict]) if self.failed else WORDS[self.verdict]

    @property
    def sentence(self) -> str:
        """The verdict in words, with what it rests on."""
        if self.failed:
            return f"{self.meaning} {self.failed[0].sentence}"
        if self.real is None:
            return f"The round is what it claims to be. {self.not_measured}"
        if self.waits and self.verdict == "unexplained":
            return f"A real fall; what would have prevented it is not known yet. {self.real.sentence}."
        so_far = "So far: " if self.waits else ""
        return " ".join(filter(None, (f"{so_far}{self.meaning}", f"{self.real.sentence}.", self.grounds)))

    @property
    def grounds(self) -> str:
        """The arm that a verdict rests on, with its interval; of luck of the data also whether some records stand for it.

        Where luck of the data comes before the verdict and could not be asked, it says so.
        """
        if self.failed or self.real is None:
            return ""
        deciding = in_turn(self.arms)
        named = next((arm for arm in deciding if arm.cause == self.verdict), None)
        if named is None:
            return self._unasked
        together = f", at 95 % for the {len(deciding)} causes asked together" if len(deciding) > 1 else ""
        close = " It is close: more of them could still say something else." if named.is_open else ""
        said = f"{named.sentence}{together}.{close}"
        worst = next((arm for arm in deciding if arm.cause == "records"), None)
        if self.verdict == "data" and worst is not None and worst.takes_back:
            said += f" The records that stand for it are {worst.what}: {worst.name} the fall does not happen either."
        return f"{said} {self._unasked}".rstrip()

    @property
    def _unasked(self) -> str:
        """That luck of the data was passed over; empty where it was asked, or comes after what the verdict names."""
        later = self.verdict == "unexplained" or self.verdict in CAUSES[CAUSES.index("data") + 1 :]
        return "Luck of the data could not be asked here." if later and DATA_ANEW in self.left_out else ""

    @property
    def not_measured(self) -> str:
        """Why nothing is said of the return, and what replays say in its place; empty where something is."""
        if self.real is not None:
            return ""
        if self.unplayed == NOT_YET:
            return "Whether its update made the policy worse is not known yet."
        said = "" if self.on_records is None else in_words(self.on_records)
        return f"What its update did to the return can't be measured here: {self.unplayed}. {said}".rstrip()

    def to_json(self) -> dict[str, Any]:
        """What `autopsy --json` prints."""
        return {
            "run": self.run,
            "round": self.round,
            "checks": [each.to_json() for each in self.checks],
            "real": None if self.real is None else self.real.to_json(),
            "unplayed": self.unplayed or None,
            "on_records": [each.to_json() for each in self.on_records or ()],
            "watch": [each.to_json() for each in self.watch],
            "read": [each.to_json() for each in self.read],
            "arms": [each.to_json() for each in self.recorded] + [each.to_json() for each in self.arms],
            "left_out": dict(self.left_out),
            "verdict": self.verdict,
            "sentence": self.sentence,
            "next": self.next or None,
        }
