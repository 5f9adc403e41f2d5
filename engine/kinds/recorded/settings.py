"""What `run.json` says of another trainer's run, and a commit of a round's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import accumulate, pairwise
from typing import Any, Literal, Self

from engine.config import TrainConfig, require
from engine.typed import AtLeastOne, typed


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Who trained."""

    name: str
    """Such as `Stable-Baselines3 PPO`."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package -> version."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the policy is made again; opened only against an allow-list, or what the reader names."""

    name: str
    """`module:class` of the policy, or `module:function` that rebuilds it."""
    observation_space: Mapping[str, Any] = field(default_factory=dict)
    action_space: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of the class or the function, as `recipe.described` says them."""
    by: Literal["class", "function"] = "class"
    """`class`: a policy of Stable-Baselines3; `function`: one that its owner marked with `rebuilds`."""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What can be done with the run's rounds: for each, empty, or why it can't be."""

    view: str = ""
    influence: str = ""
    replay: str = ""

    @property
    def words(self) -> str:
        """In one line.

        >>> Capabilities(replay="its class changes train").words
        'view, influence; no replay: its class changes train'
        """
        said = asdict(self)
        can = ", ".join(name for name, why in said.items() if not why)
        return "; ".join([can, *(f"no {name}: {why}" for name, why in said.items() if why)])


@dataclass(frozen=True, kw_only=True)
class RoundConfig(TrainConfig):
    """The settings in force in a round; what only other trainers have is in the round's commit alone, not in `run.json`.

    >>> RoundConfig(env_id="mine", n_steps=218, batch_size=64, minibatch_sizes=(64, 64, 90)).cuts(218)
    [(0, 64), (64, 128), (128, 218)]
    """

    minibatch_sizes: tuple[AtLeastOne, ...] = ()
    """Records of each minibatch of an epoch, whose permutation is not taken any further; empty: equal ones of `batch_size`."""

    kl_stop: Literal["minibatch", "epoch"] = "minibatch"
    """When target_kl is looked at. `minibatch`: before every step, and 1.5 * target_kl is the limit, as Stable-Baselines3 has
    it. `epoch`: after every epoch, the KL that its last minibatch had before its step, as single-file loops have it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        taken, records = sum(self.minibatch_sizes), self.records_per_round
        require(taken <= records, "the sum of minibatch_sizes", taken, f"at most the {records} records of the round")

    @classmethod
    def of(cls, config: TrainConfig, own: Mapping[str, Any]) -> Self:
        """The settings of a run with those of the round in their place.

        Raises:
            BadInputError: a value is of another type or out of its range.
            TypeError: there is no such setting.
        """
        return cls(**{**{each.name: getattr(config, each.name) for each in fields(config)}, **own})

    def cuts(self, n: int) -> list[tuple[int, int]]:
        """As the trainer cut them; where fewer records are left, the last one is smaller."""
        if not self.minibatch_sizes:
            return super().cuts(n)
        bounds = pairwise(accumulate(self.minibatch_sizes, initial=0))
        return [(start, min(stop, n)) for start, stop in bounds if start < n]

    def stops_before_step(self, approx_kl: Any) -> bool:
        """As the trainer decides."""
        return self.kl_stop == "minibatch" and super().stops_before_step(approx_kl)

    def stops_after_epoch(self, approx_kl: Any) -> bool:
        """As the trainer decides."""
        return self.kl_stop == "epoch" and self.target_kl is not None and bool(approx_kl > self.target_kl)

    def to_json(self) -> dict[str, Any]:
        """Those that `run.json` has."""
        said = super().to_json()
        return {each.name: said[each.name] for each in fields(TrainConfig)}


@dataclass(frozen=True, kw_only=True)
class RecordedSettings:
    """The run's own settings."""

    trainer: Trainer
    policy: Recipe | None
    """None: the policy can't be made again."""
    capabilities: Capabilities
    optimizer: Recipe | None = None
    """Where the policy does not bring its own."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for `run.json`; `from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            BadInputError: a field is missing, unknown or of the wrong type.
        """
        return typed(cls, values, "setting")
