"""What each token and each sequence of a round is credited with, along a direction in parameter space.

PPO: token t of record i is credited with share_it * <v, grad J_it>, and a record with the sum over its tokens.

GRPO compares a response with the others to its prompt, so that a response also acts through their advantages. Record i is
credited with what the objective's slope along v would lose without it:
I_i = sum_{k in g} ( h_k(A_k) - h_k(A_k^(-i)) ), where h_k(a) = share_k * <v, sum_t grad J_kt> with the advantage a, A_k^(-i) is
the advantage of k where i was never sampled, and A_i^(-i) = 0. Denominators stay as they are, as for every estimator. What a
record does through the others belongs to the response as a whole; it is spread evenly over its tokens.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.core.gradients.attribution import TERMS, Attribution
from engine.core.gradients.derivatives import Credit, TorchDerivatives
from engine.core.gradients.inner_products import Direction, products_by_term
from engine.core.gradients.layers import layer_of, layers_of
from engine.core.gradients.steps import Vector
from engine.core.objective import Batch, Objective
from engine.kinds.language.advantages import totals
from engine.kinds.language.grpo import Comparison, leave_one_out
from engine.kinds.language.objective import TokenObjective, shares, trimmed
from engine.kinds.language.policy import PAD, LanguagePolicy
from engine.kinds.language.sequences import LanguageSnapshot, SequenceBuffer
from engine.kinds.language.targets import at_once
from engine.kinds.language.update import batch_of, normalizer_of
from engine.store.snapshot import Float32s

Floats = NDArray[np.float64]


class Credits:
    """Sums up inner products with the gradients of a round's tokens, over one step or many."""

    def __init__(self, policy: LanguagePolicy, snapshot: LanguageSnapshot) -> None:
        """Nothing yet.

        Args:
            policy: at the theta of each call.
            snapshot: round k.
        """
        buffer = self.buffer = snapshot.buffer
        self.policy, self.language, self.config = policy, snapshot.language, snapshot.config
        self.batch = batch_of(policy, buffer)
        n, length = self.batch.action.shape
        self.own: Floats = np.zeros((n, length))
        """(n, T) through the token's own objective."""
        self.through_others: Floats = np.zeros(n)
        """(n,) GRPO: through the advantages of the others in its group."""
        self.compared: dict[int, tuple[Comparison, int]] = {}
        """Record -> its group and its place there."""
        if self.language.algorithm == "grpo":
            for group in leave_one_out(totals(buffer), buffer.group, buffer.kept, self.language.normalizer):
                self.compared |= {int(k): (group, row) for row, k in enumerate(group.members)}

    def add(self, records: NDArray[np.integer], direction: Direction, weight: float = 1.0) -> Floats:
        """Credit the records of a minibatch with their inner products with a direction.

        Args:
            records: (b,) numbers.
            direction: v.
            weight: of the minibatch's mean; with its number of kept records, a record's own objective counts once.

        Returns:
            (3, n) what was added, by term and by record of the round.
        """
        rows = torch.as_tensor(records.astype(np.int64), device=self.policy.device)
        minibatch = self.batch.take(rows)
        share = weight * shares(minibatch, normalizer_of(self.language), self.language.max_new_tokens)
        added = np.zeros((3, len(self.buffer)))
        for rows_at_once in at_once(tuple(minibatch.action.shape), self.policy):
            part = Batch(*(column[rows_at_once] for column in minibatch))
            self._add(records[rows_at_once], trimmed(part), share[rows_at_once], direction, added)
        return added

    def _add(
        self, records: NDArray[np.integer], part: Batch, share: Tensor, direction: Direction, added: Floats
    ) -> None:
        def shared(found: Tensor) -> Floats:
            return (found.detach() * share).double().cpu().numpy()

        def by_term(batch: Batch) -> Objective:
            return products_by_term(self.policy, batch, self.config, direction)

        if self.language.algorithm == "ppo":
            terms = by_term(part)
            own = shared(terms.total())
            self.own[records, : own.shape[1]] += own
            added[:, records] += np.stack([shared(term).sum(axis=1) for term in terms])
            return
        acted = (part.action != PAD).to(part.advantage.dtype)
        up_or_entropy = by_term(part._replace(advantage=acted))
        rising, entropy = shared(up_or_entropy.actor), shared(up_or_entropy.entropy)
        falling = -shared(by_term(part._replace(advantage=-acted)).actor)
        if self.config.ent_coef:
            self.own[records, : entropy.shape[1]] += entropy
            added[2, records] += entropy.sum(axis=1)
        for k, up, down in zip(records.tolist(), rising, falling, strict=True):
            if k in self.compared:
                group, row = self.compared[k]
                now, without = group.advantage[row], group.without[row]
                own = now * (up if now > 0 else down)
                self.own[k, : len(up)] += own
                lost = np.where(without > 0, without * up.sum(), without * down.sum())
                others = np.arange(len(without)) != row
                through = (now * (up if now > 0 else down).sum() - lost)[others]
                self.through_others[group.members[others]] += through
                added[0, k] += own.sum()
                added[0, group.members[others]] += through

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


class TokenDerivatives(TorchDerivatives):
    """`core.gradients.derivatives.Derivatives` of a round of sequences, which knows what each token is credited with."""

    def __init__(self, policy: LanguagePolicy, snapshot: LanguageSnapshot, minibatch: TokenObjective) -> None:
        """Prepare for a round; arguments as `Credits`."""
        self.credits = Credits(policy, snapshot)
        super().__init__(policy, self.credits.batch, minibatch)

    def credit(self, theta: Vector, records: NDArray[np.int32], direction: Vector) -> Credit:
        """The inner products of the minibatch's sequences, and in GRPO of the others in their groups."""
        self.move_to(theta)
        return Credit(self.credits.buffer.record, self.credits.add(records, self.by_name(direction)))

    def finished(self, found: Attribution) -> Attribution:
        """With what each token is credited with; the sequences' influence is its sum."""
        return with_tokens(found, self.credits)


def with_tokens(found: Attribution, credits: Credits) -> Attribution:
    """What was credited, with tokens, and the sequences' influence as their sum."""
    tokens = credits.by_token().astype(np.float32)
    return found._replace(influence=summed(credits.buffer, tokens), tokens=tokens)


def summed(buffer: SequenceBuffer, tokens: Float32s) -> Float32s:
    """(N,) -> (n,): by record."""
    return np.bincount(buffer.record_of_token, tokens, len(buffer)).astype(np.float32)


def at_theta_k(snapshot: LanguageSnapshot, policy: LanguagePolicy, direction: Direction, by_layer: bool) -> Attribution:
    """The products <v, grad J_i(theta(k))> of a round, the mean of J_i being the objective of the round as one minibatch."""
    kept = np.flatnonzero(snapshot.buffer.kept)
    credits = Credits(policy, snapshot)
    names = list(layers_of(policy)) if by_layer else []
    parts = [{name: v for name, v in direction.items() if layer_of(name) == layer} for layer in names]
    nothing = np.zeros((3, len(snapshot.buffer)))
    added = [credits.add(kept, part, weight=len(kept)) if part else nothing for part in parts or [direction]]
    terms = np.sum(added, axis=0).astype(np.float32)
    layers = {name: part.sum(axis=0).astype(np.float32) for name, part in zip(names, added, strict=False)}
    found = Attribution(terms.sum(axis=0), dict(zip(TERMS, terms, strict=True)), layers)
    return with_tokens(found, credits)
