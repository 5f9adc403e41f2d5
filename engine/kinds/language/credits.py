"""What each token and each sequence of a round is credited with, along a direction in parameter space.

PPO: token t of record i is credited with share_it * <v, grad J_it>, and a record with the sum over its tokens.

GRPO compares a response with the others to its prompt, so that a response also acts through their advantages. Record i is
credited with what the objective's slope along v would lose without it:
I_i = sum_{k in g} ( h_k(A_k) - h_k(A_k^(-i)) ), where h_k(a) = share_k * <v, sum_t grad J_kt> with the advantage a, A_k^(-i) is
the advantage of k where i was never sampled, and A_i^(-i) = 0. Denominators stay as they are, as for every estimator. What a
record does through the others belongs to the response as a whole; it is spread evenly over its tokens.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.core.backends import Backend, Direction, Term, inner_products
from engine.core.objective import Batch
from engine.kinds.language.advantages import totals
from engine.kinds.language.grpo import Comparison, leave_one_out
from engine.kinds.language.objective import shares, trimmed
from engine.kinds.language.policy import PAD, LanguagePolicy
from engine.kinds.language.sequences import LanguageSnapshot
from engine.kinds.language.targets import at_once
from engine.kinds.language.update import batch_of, normalizer_of

Floats = NDArray[np.float64]


class Credits:
    """Sums up inner products with the gradients of a round's tokens, over one step or many."""

    def __init__(
        self, policy: LanguagePolicy, snapshot: LanguageSnapshot, backend: Backend = "jvp", *, critic: bool = True
    ) -> None:
        """Nothing yet.

        Args:
            policy: at the theta of each call.
            snapshot: round k.
            backend: see `backends.inner_products`; only `jvp` tells tokens apart.
            critic: whether the value loss counts.
        """
        buffer = self.buffer = snapshot.buffer
        self.policy, self.language, self.backend = policy, snapshot.language, backend
        self.config = snapshot.config if critic else replace(snapshot.config, vf_coef=0.0)
        self.batch = batch_of(policy, buffer)
        n, length = self.batch.action.shape
        self.own: Floats = np.zeros((n, length if backend == "jvp" else 1))
        """(n, T) through the token's own objective; (n, 1) where tokens are not told apart."""
        self.through_others: Floats = np.zeros(n)
        """(n,) GRPO: through the advantages of the others in its group."""
        self.compared: dict[int, tuple[Comparison, int]] = {}
        """Record -> its group and its place there."""
        if self.language.algorithm == "grpo":
            for group in leave_one_out(totals(buffer), buffer.group, buffer.kept, self.language.normalizer):
                self.compared |= {int(k): (group, row) for row, k in enumerate(group.members)}

    def add(self, records: NDArray[np.integer], direction: Direction, weight: float = 1.0) -> None:
        """Credit the records of a minibatch with their inner products with a direction.

        Args:
            records: (b,) numbers.
            direction: v.
            weight: of the minibatch's mean; with its number of kept records, a record's own objective counts once.
        """
        rows = torch.as_tensor(records.astype(np.int64), device=self.policy.device)
        minibatch = self.batch.take(rows)
        share = weight * shares(minibatch, normalizer_of(self.language), self.language.max_new_tokens)
        for rows_at_once in at_once(tuple(minibatch.action.shape), self.policy):
            part = Batch(*(column[rows_at_once] for column in minibatch))
            self._add(records[rows_at_once], trimmed(part), share[rows_at_once], direction)

    def _add(self, records: NDArray[np.integer], part: Batch, share: Tensor, direction: Direction) -> None:
        def products(batch: Batch, term: Term | None = None) -> Floats:
            found = inner_products(self.policy, batch, self.config, direction, self.backend, term).detach()
            found = found * share if found.dim() == 2 else found[:, None] * share
            return found.double().cpu().numpy()

        if self.language.algorithm == "ppo":
            own = products(part)
            self.own[records, : own.shape[1]] += own
            return
        acted = (part.action != PAD).to(part.advantage.dtype)
        rising = products(part._replace(advantage=acted), "actor")
        falling = -products(part._replace(advantage=-acted), "actor")
        if self.config.ent_coef:
            own = products(part, "entropy")
            self.own[records, : own.shape[1]] += own
        for k, up, down in zip(records.tolist(), rising, falling, strict=True):
            if k in self.compared:
                group, row = self.compared[k]
                now, without = group.advantage[row], group.without[row]
                self.own[k, : len(up)] += now * (up if now > 0 else down)
                lost = np.where(without > 0, without * up.sum(), without * down.sum())
                others = np.arange(len(without)) != row
                whole = now * (up if now > 0 else down).sum()
                self.through_others[group.members[others]] += (whole - lost)[others]

    def by_token(self) -> Floats:
        """(N,) as the buffer's token columns; 0 on prompts."""
        buffer = self.buffer
        responses = np.bincount(buffer.record_of_token, buffer.mask, len(buffer))
        spread = np.repeat(self.through_others / responses, buffer.lengths) * buffer.mask
        present = np.arange(self.own.shape[1] + 1) < buffer.lengths[:, None]
        return np.asarray(np.pad(self.own, ((0, 0), (1, 0)))[present] + spread)

    def by_record(self) -> Floats:
        """(n,) sums over the records' tokens."""
        return np.asarray(self.own.sum(axis=1) + self.through_others)
