"""How far each update of a loop of one's own went: what other trainers say of theirs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from engine.core.blocks import blocks
from engine.kinds.recorded.kind import loss_of
from engine.kinds.recorded.policy import Evaluate, RecordedPolicy
from engine.kinds.recorded.snapshot import RecordedSnapshot
from engine.kinds.recorded.tensors import Checkpoint, load_buffers
from engine.recording.self_test import OF_THEIR_CODE, NotCopiedError, copied, generators_kept
from engine.store.snapshot import parameters_of


class MeasuredUpdates:
    """A copy of a loop's agent is asked, in evaluation mode, so that the one that trains stays as it is."""

    def __init__(self, agent: nn.Module, evaluate: Evaluate) -> None:
        self._agent, self._evaluate = agent, evaluate
        self._copy: RecordedPolicy | None = None

    def metrics(self, snapshot: RecordedSnapshot, after: Checkpoint) -> Mapping[str, float]:
        """`approx_kl`, `entropy` and `clip_fraction` of theta(k+1) on the round's records, as Stable-Baselines3 defines them.

        That trainer takes means over the minibatches of an update, each before its step; these are of the whole update. It takes
        one evaluation of the round's records.

        Args:
            snapshot: the round, with what its records were collected with.
            after: the checkpoint after its update.

        Returns:
            Nothing where the agent has no copy, or can't be asked; no `clip_fraction` where the loss has no ratio clip.
        """
        try:
            with generators_kept(), torch.no_grad():
                log_prob, entropy = self._said(snapshot, after)
        except (NotCopiedError, *OF_THEIR_CODE):
            return {}
        log_ratio = log_prob - snapshot.buffer.log_prob.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            ratio = np.exp(log_ratio)
            found = {"approx_kl": float((ratio - 1 - log_ratio).mean()), "entropy": float(entropy.mean())}
        clip = getattr(loss_of(snapshot), "clip", None)
        return found if clip is None else found | {"clip_fraction": float((np.abs(ratio - 1) > clip).mean())}

    def _said(self, snapshot: RecordedSnapshot, after: Checkpoint) -> tuple[np.ndarray, np.ndarray]:
        """(n,) log-probabilities and (n,) entropies."""
        if self._copy is None:
            self._copy = RecordedPolicy(copied(self._agent), self._evaluate)
        policy = self._copy.load(parameters_of(after))
        load_buffers(policy, after)
        policy.eval()
        shown, taken = snapshot.buffer.observation, snapshot.buffer.action
        parts = []
        for block in blocks(len(taken)):
            rows = {name: part[block] for name, part in shown.items()} if isinstance(shown, dict) else shown[block]
            said = policy(policy.encode(rows), policy.as_tensor(taken[block]))
            parts.append(torch.stack([said.log_prob, said.entropy]).double().cpu().numpy())
        log_prob, entropy = np.concatenate(parts, axis=1)
        return log_prob, entropy
