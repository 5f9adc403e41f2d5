"""Target functions f(theta): the behaviour or the return that influence is about (paper, section 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray
from torch import Tensor

from engine.core.policy import Policy
from engine.core.targets.question import TargetName
from engine.store.snapshot import Float32s


class Described(Protocol):
    """What files and errors need to know of a target."""

    @property
    def name(self) -> str:
        """One word: `return`, `action`, ..."""
        ...

    def describe(self) -> dict[str, Any]:
        """Plain values that say exactly which target it is; equal descriptions mean equal targets."""
        ...


class Target(Described, Protocol):
    """A scalar function of the policy. A new target is one small class with these three members."""

    def value(self, policy: Policy) -> Tensor:
        """f(theta) as a 0-d tensor that can be differentiated in the policy's own parameters, which are at theta."""
        ...


@runtime_checkable
class LogProbTarget(Target, Protocol):
    """A target of the form f = sum_j c_j log pi(a_j|s_j), which the closed form can differentiate."""

    @property
    def observation(self) -> NDArray[Any]:
        """(m, ...) s_j."""
        ...

    @property
    def action(self) -> NDArray[Any]:
        """(m,) or (m, d) a_j."""
        ...

    @property
    def coefficient(self) -> Float32s:
        """(m,) c_j."""
        ...


@runtime_checkable
class SummedTarget(Target, Protocol):
    """A target of many summands, which are differentiated one after another so that they fit the memory."""

    def parts(self, policy: Policy) -> Iterator[Tensor]:
        """The summands of f."""
        ...


def name_of(target: Described) -> TargetName | None:
    """What named a target, where something did."""
    called = getattr(target, "called", None)
    return called if isinstance(called, TargetName) else None


def in_words(target: Described, action_names: Sequence[str] = ()) -> str:
    """What a target is called: in words of its own, where it has some."""
    own, called = getattr(target, "words", None), name_of(target)
    if isinstance(own, str):
        return own
    return f"{target.name} target" if called is None else called.sentence(action_names)
