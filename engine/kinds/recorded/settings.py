"""What `run.json` says of another trainer's run, and a commit of a round's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from engine.typed import typed


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
