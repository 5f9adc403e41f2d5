"""What is compared: ways of training, with clean rewards and with planted faults, over several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.demos.courtesy.settings import LANGUAGE, TRAINING
from engine.errors import BadInputError
from engine.experiments.plans import STANDARD
from engine.typed import typed

NAME = "courtesy"
ARMS = (STANDARD, "iif", "random", "reward_threshold")
"""Plain PPO, and PPO with each filter."""
CONDITIONS: Mapping[str, float] = {"clean": 0.0, "flipped": 0.2}
"""Condition -> share of the training rewards whose sign is flipped."""
RUDE = 0.05
"""The rude rate that is to be reached."""


@dataclass(frozen=True)
class Plan:
    """The experiment's size and settings."""

    arms: tuple[str, ...] = ARMS
    rounds: int = 24
    responses: int = 512
    """Responses that are judged before the first round and after each."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `TrainConfig` and `LanguageConfig` in which every arm differs from the demonstration's settings."""

    def changed(
        self,
        arms: Sequence[str] | None = None,
        rounds: int | None = None,
        responses: int | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Plan:
        """The same plan with other arms, rounds, judged responses or settings; None leaves them.

        Raises:
            BadInputError: an unknown arm, a number below 1, or a setting that does not exist or that arms differ in.
        """
        for name in arms or ():
            if name not in ARMS:
                raise BadInputError(f"{NAME} has no arm {name!r}; it has {', '.join(ARMS)}")
        for name, number in (("rounds", rounds), ("episodes", responses)):
            if number is not None and number < 1:
                raise BadInputError(f"{name} is {number}; it must be at least 1")
        taken = {"seed": "--seeds", "rounds": "--rounds", "filter": "--arms"}
        for name in settings or {}:
            if name in taken or name == "flip":
                chosen = f"choose it with {taken[name]}" if name in taken else "both conditions are always trained"
                raise BadInputError(f"{name} is not a setting of all arms; {chosen}")
        plan = replace(
            self,
            arms=tuple(name for name in ARMS if name in arms) if arms else self.arms,
            rounds=rounds or self.rounds,
            responses=responses or self.responses,
            settings={**self.settings, **(settings or {})},
        )
        plan.configs("clean", STANDARD, 0)
        return plan

    def configs(self, condition: str, arm: str, seed: int) -> tuple[TrainConfig, LanguageConfig]:
        """Settings of one training run. PPO needs no validation prompts, so it generates none.

        Raises:
            BadInputError: a setting does not exist or is out of range.
        """
        language = {field.name for field in fields(LanguageConfig)}
        own = {name: value for name, value in self.settings.items() if name in language}
        shared = {name: value for name, value in self.settings.items() if name not in language}
        plain = arm == STANDARD
        spared = {"validation_prompts": 0} if plain else {}
        return (
            TrainConfig.from_json(
                {**TRAINING, **shared, "rounds": self.rounds, "seed": seed, "filter": "none" if plain else arm}
            ),
            LanguageConfig.from_json({**LANGUAGE, **own, **spared, "flip": CONDITIONS[condition]}),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` is the inverse."""
        return {**asdict(self), "arms": list(self.arms)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is not such an object.
        """
        return typed(cls, values)
