"""Whether scores may look sure: what is known of how well they predict removal, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.core.estimators import foretold
from engine.core.faithfulness.result import TrustVerdict, Validation
from engine.intervals import Interval

WORDS: Mapping[TrustVerdict, str] = {
    "predicts": "",
    "weakly": "",
    "does not": "measured: does not predict removal",
    "noise": "measured: mostly noise",
    "few": "measured with too few subsets",
    "failed": "the check failed",
}
"""What stands beside scores that don't look sure; nothing beside those that do."""


@dataclass(frozen=True)
class Trust:
    """What is known of the scores of one estimator."""

    name: str
    """The estimator with its orders, see `averaged_name`."""
    found: Validation | None = None
    """What a check of this round and target measured; None: there was none."""
    another_policy: str = ""
    """That the scores are not of the recorded policy, in words; empty where they are."""
    can_be_measured: bool = True
    """Whether the round's update can be replayed."""
    expected: Interval | None = None
    """The LDS that the scores' own replays foretell, where they do; what was measured goes before it."""

    @property
    def word(self) -> str:
        """A few words to stand beside scores that must not look sure; empty where they may.

        >>> Trust("tracin").word
        'not measured'
        """
        if self.another_policy:
            return "another policy's"
        return "not measured" if self.found is None else WORDS[self.found.verdict(self.name)]

    @property
    def sentence(self) -> str:
        """Whether the scores can be trusted here, in plain words.

        >>> Trust("tracin").sentence
        'Whether removing them would do what the scores say was not measured here.'
        """
        if self.another_policy:
            return f"Don't trust these scores: {self.another_policy}."
        if self.found is not None:
            return f"Measured here: {self.found.sentence(self.name)}."
        if not self.can_be_measured:
            return "Whether removing them would do what the scores say can't be measured: the round has no minibatches."
        if self.expected is not None:
            return f"Not measured here: {foretold.in_words(self.expected)}."
        return "Whether removing them would do what the scores say was not measured here."
