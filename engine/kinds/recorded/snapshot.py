"""A round of another trainer's run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.kinds.control.snapshot import ControlSnapshot, RolloutBuffer
from engine.kinds.recorded.memory import PREFIX, remembers
from engine.kinds.recorded.settings import RecordedSettings
from engine.spaces import Space

MASK = "action_mask"
"""The part of an observation that says which actions were allowed."""


@dataclass(frozen=True, repr=False)
class RecordedBuffer(RolloutBuffer):
    """B(k) with what other trainers have beside it.

    `observation` may be a dict of columns; `action_mask` among them, (n, actions), is False for actions that were forbidden.
    """

    valid: NDArray[np.bool_] | None = None
    """(n,) False for a phantom: a step that no action was sent in, as next-step resets insert them; None: all are real."""
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Name -> (n,) numbers or truth values that the person who recorded wanted beside the records."""


@dataclass(frozen=True, kw_only=True, repr=False)
class RecordedSnapshot(ControlSnapshot):
    """Round k as it was recorded from outside; `config` has the settings in force in it, `settings` the run's own.

    Its checkpoint also has `buffer/...` of the policy and `rng/torch`.
    """

    kind = "recorded"
    buffer: RecordedBuffer

    @property
    def extra(self) -> Mapping[str, NDArray[Any]]:
        """What the person who recorded asked for, and whether a step is a real one where some are not."""
        phantom = {} if self.buffer.valid is None else {"valid": self.buffer.valid}
        return {**self.buffer.extra, **phantom}

    @property
    def shown(self) -> tuple[Space, Any]:
        """Without the states of an LSTM, and what they go with."""
        space, observation = super().shown
        if not remembers(observation):
            return space, observation
        return _parts(space, observation, [name for name in space.parts if not name.startswith(PREFIX)])

    @property
    def from_environment(self) -> tuple[Space, Any]:
        """Without which actions were allowed."""
        space, observation = self.shown
        if MASK not in space.parts:
            return space, observation
        return _parts(space, observation, [name for name in space.parts if name != MASK])

    @cached_property
    def said(self) -> RecordedSettings:
        """The run's own settings.

        Raises:
            BadInputError: they can't be understood.
        """
        return RecordedSettings.from_json(self.settings)


def _parts(space: Space, observation: Mapping[str, Any], names: list[str]) -> tuple[Space, Any]:
    """Parts of observations, as a dict; an observation that was put into one only for what is beside it by itself."""
    if names == ["observation"]:
        return space.parts["observation"], observation["observation"]
    return replace(space, parts={name: space.parts[name] for name in names}), {
        name: observation[name] for name in names
    }
