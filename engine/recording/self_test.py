"""Does the declared loss lead where the loop went? Tried in the same process, after the first round's update."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from engine.core.objective import RecordObjective
from engine.core.policy import trained
from engine.core.replays.replayed_run import farthest
from engine.errors import BadInputError, EngineError
from engine.kinds.recorded.agent import TORCH_GENERATOR, RecordedAgent, batch_of
from engine.kinds.recorded.kind import loss_of
from engine.kinds.recorded.policy import RecordedPolicy
from engine.kinds.recorded.remaking import restore_recorded as remade
from engine.kinds.recorded.settings import Recipe
from engine.kinds.recorded.snapshot import RecordedSnapshot
from engine.kinds.recorded.tensors import load_buffers, restore_optimizer
from engine.store.snapshot import parameters_of

NEAR_LOG_PROB = 1e-3
NEAR = 1e-2
"""A factor of a loss that is off by less is taken for rounding; so is what is left of a gradient."""
OF_THEIR_CODE = (
    *(EngineError, ArithmeticError, AssertionError, AttributeError, ImportError, LookupError),
    *(OSError, RuntimeError, TypeError, ValueError),
)
"""What making or asking somebody's agent may raise; a training that is recorded goes on."""


class NotCopiedError(EngineError):
    """A module holds what can't be copied."""


def copied(module: nn.Module) -> nn.Module:
    """A copy that shares nothing with it. What a module keeps of its last forward pass is copied without its graph.

    Raises:
        NotCopiedError: it holds something else that has no copy, such as an open file.
    """
    try:
        with _WithoutGraphs():
            return copy.deepcopy(module)
    except (TypeError, RuntimeError, ValueError, AttributeError, copy.Error) as error:
        raise NotCopiedError(f"the agent can't be copied ({' '.join(str(error).split())[:200]})") from error


class _WithoutGraphs(TorchFunctionMode):
    """Lets tensors within a graph be copied, which torch refuses."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__deepcopy__ and args[0].grad_fn is not None:
            args = (args[0].detach(), *args[1:])
        return func(*args, **(kwargs or {}))


@contextmanager
def generators_kept() -> Iterator[None]:
    """Whatever is drawn in here, what the training draws next is as it would have been."""
    own, numbers = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(own)
        np.random.set_state(numbers)


def compare(
    snapshot: RecordedSnapshot,
    fresh: Callable[[], RecordedPolicy],
    optimizer: Recipe | None,
    after: Mapping[str, NDArray[Any]],
    gradient: NDArray[Any] | None = None,
) -> str:
    """Replay a round with another policy of the same make; empty where it leads to the same parameters bit for bit.

    Args:
        snapshot: the round, with its minibatches.
        fresh: makes the policy, whatever its parameters.
        optimizer: what is to be made for it; None: it has one of its own.
        after: the recorded checkpoint after the update.
        gradient: (p,) of the first step as the loop had it, clipped; by it a wrong declaration is named.

    Returns:
        What differs, in a sentence.
    """
    try:
        with generators_kept():
            policy = fresh().load(snapshot.parameters)
        load_buffers(policy, snapshot.checkpoint)
        policy.eval()
        named = "" if gradient is None else _named(snapshot, policy, gradient)
        rate = float(snapshot.in_force["learning_rate"])
        replayed = RecordedAgent(
            snapshot.config,
            loss_of(snapshot),
            policy,
            restore_optimizer(policy, snapshot.checkpoint, rate, optimizer),
            snapshot.checkpoint.get(TORCH_GENERATOR),
            torch.get_num_threads(),
        )
        replayed.update(snapshot.buffer, snapshot.minibatches)
    except OF_THEIR_CODE as error:
        return f"the first round can't be replayed ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
    found, recorded, before = parameters_of(replayed.tensors()), parameters_of(after), snapshot.parameters
    largest = farthest(found, recorded)
    if largest == 0:
        return ""
    moved = farthest(recorded, before)
    return f"the declared loss leads {largest:.2g} away in a parameter that moved by {moved:.2g} at most{named}"


def recipe_differs(snapshot: RecordedSnapshot) -> str:
    """Whether the policy that the recipe makes says something else of the records than was recorded; empty where it does not.

    A policy that needs the reader's word is not tried.
    """
    try:
        policy = remade(snapshot.said, snapshot.checkpoint)
    except BadInputError:
        return ""
    found = policy.log_prob(snapshot.buffer.observation, snapshot.buffer.action)
    largest = float(np.abs(found - snapshot.buffer.log_prob).max())
    if largest <= NEAR_LOG_PROB:
        return ""
    changed = "its class was changed, or it draws at random"
    return f"the policy that the recipe makes differs by {largest:.2g} in a log-probability: {changed}"


def _named(snapshot: RecordedSnapshot, policy: RecordedPolicy, recorded: NDArray[Any]) -> str:
    """Which term of the loss is declared wrongly: the first gradient as a sum of the terms' gradients."""
    loss, objective = loss_of(snapshot), RecordObjective(snapshot.config, loss_of(snapshot).terms)
    _, stop = snapshot.config.cuts(len(snapshot.buffer))[0]
    rows = torch.as_tensor(snapshot.minibatches[0][:stop], dtype=torch.int64)
    part = objective.take(batch_of(policy, snapshot.buffer, loss), rows)
    terms = loss.terms(policy(part.inputs, part.action), part)
    own = list(trained(policy).values())
    columns = [
        np.concatenate(
            [
                -g.numpy().ravel()
                for g in torch.autograd.grad(term.mean(), own, retain_graph=True, materialize_grads=True)
            ]
        )
        if term.requires_grad
        else np.zeros(len(recorded))
        for term in terms
    ]
    matrix = np.stack(columns, axis=1).astype(np.float64)
    there = np.flatnonzero(np.abs(matrix).max(axis=0) > 0)
    found, *_ = np.linalg.lstsq(matrix[:, there], recorded.astype(np.float64), rcond=None)
    left = np.linalg.norm(matrix[:, there] @ found - recorded) / (np.linalg.norm(recorded) or 1)
    if left > NEAR or 0 not in there:
        return "; its first gradient is not made of the declared terms: look at advantages, ratio clip and columns"
    factors = dict(zip(there.tolist(), (found / found[0]).tolist(), strict=True))
    wrong = [
        f"the {what} counts {factors[i]:.3g} times as much as declared"
        for i, what in ((1, "value loss"), (2, "entropy"))
        if i in factors and abs(factors[i] - 1) > NEAR
    ]
    return (
        f"; {' and '.join(wrong)}"
        if wrong
        else "; its first gradient is as declared: look at value clip, gradient clip and step size"
    )
