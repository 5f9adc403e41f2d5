"""Many replays of one update at once on a device, and what became of the targets.

What `replays.many.run_replays` does one after another, to rounding: on a CUDA device hundreds at a time cost little more than
one. An outcome is within 2e-5 of the exact replay's, but for the rare replay in which rounding decides whether a record's
ratio is inside the clip range; there the closed form and the torch path differ as much. So it is never taken for the exact
one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.core.replays.replay import intervene
from engine.core.targets.functions import LogProbTarget, Target
from engine.errors import BadInputError
from engine.kinds.control.batched import BatchedAgents, bytes_a_replay, check_batched
from engine.kinds.control.networks import restore_policy
from engine.kinds.control.snapshot import ControlSnapshot

LARGEST, SHARE = 512, 0.5
"""Replays of a batch at most, and the share of the device's free memory that it may take."""
PAIRS = 256
"""Pairs of a log-probability target that are evaluated at a time."""


def check_cuda(snapshot: ControlSnapshot) -> None:
    """Whether rounds like this one can be replayed on a CUDA device.

    Raises:
        BadInputError: no CUDA device is here, or the networks have no batched form.
    """
    check_batched(snapshot)
    if not torch.cuda.is_available():
        raise BadInputError("there is no CUDA device here that torch can use; replay with --device cpu, the default")


class OnCuda:
    """`core.kind.Batched` of a round."""

    def __init__(self, snapshot: ControlSnapshot) -> None:
        self.snapshot = snapshot

    def size(self, count: int) -> int:
        """Replays of a batch, so that `count` of them make batches of equal size that fit the device's memory."""
        free, _ = torch.cuda.mem_get_info()
        largest = min(LARGEST, max(1, int(SHARE * free) // bytes_a_replay(self.snapshot)))
        return -(-count // -(-count // largest))

    def values(
        self, targets: Sequence[Target], removed: NDArray[np.bool_], orders: Sequence[int]
    ) -> NDArray[np.float64]:
        """(R, targets) values of f."""
        return batched_values(self.snapshot, targets, removed, orders, torch.device("cuda"))


def batched_values(
    snapshot: ControlSnapshot,
    targets: Sequence[Target],
    removed: NDArray[np.bool_],
    orders: Sequence[int],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> NDArray[np.float64]:
    """Replay the update (mode `mask`) R times at once and evaluate f(theta(k+1)).

    Args:
        snapshot: round k.
        targets: f, one or more; log-probability targets are evaluated on the device, others one by one on the CPU.
        removed: (R, n), True where the record is removed.
        orders: R minibatch orders; 0 is the recorded one.
        device: where.
        dtype: of all arithmetic.

    Returns:
        (R, targets) values of f.
    """
    agents = updated_agents(snapshot, removed, orders, device, dtype)
    return np.stack([_values(snapshot, target, agents) for target in targets], axis=1)


def updated_agents(
    snapshot: ControlSnapshot,
    removed: NDArray[np.bool_],
    orders: Sequence[int],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> BatchedAgents:
    """R agents at theta(k+1); arguments as `batched_values`."""
    distinct, which = np.unique(orders, return_inverse=True)
    minibatches = np.stack([intervene(snapshot, (), order=int(order)).minibatches for order in distinct])
    buffers = [intervene(snapshot, np.flatnonzero(row)).buffer for row in removed]
    agents = BatchedAgents(snapshot, len(buffers), device, dtype)
    kept, critic_kept = np.stack([b.kept for b in buffers]), np.stack([b.critic_kept for b in buffers])
    agents.update(minibatches, which, kept, critic_kept)
    return agents


def _values(snapshot: ControlSnapshot, target: Target, agents: BatchedAgents) -> NDArray[np.float64]:
    if not isinstance(target, LogProbTarget):
        return _one_by_one(snapshot, target, agents)
    coefficient = torch.as_tensor(target.coefficient, dtype=torch.float64, device=agents.device)
    total: Tensor = torch.zeros(agents.count, dtype=torch.float64, device=agents.device)
    for start in range(0, len(coefficient), PAIRS):
        part = slice(start, start + PAIRS)
        total += agents.log_prob(target.observation[part], target.action[part]).double() @ coefficient[part]
    return total.cpu().numpy()


def _one_by_one(snapshot: ControlSnapshot, target: Target, agents: BatchedAgents) -> NDArray[np.float64]:
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint).to(
        agents.dtype
    )
    values = []
    with torch.no_grad():
        for parameters in agents.parameters():
            policy.load(parameters)
            values.append(float(target.value(policy)))
    return np.array(values)
