"""Targets of a language model. Each is a weighted sum of log-probabilities of tokens: f = sum_it c_it log pi(y_it | before).

| name | f | over |
|---|---|---|
| `sequence` | mean_i( A_i,last * sum_t log pi(y_it) ) (paper, section 6) | validation prompts |
| `return` | mean_i( sum_t A_it log pi(y_it) ) | the round's own sequences |
| `action` | sum_t log pi(y_it) over a span of tokens | one record |

GRPO has no value: there A_i is R_i less the mean of the other responses to the same prompt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.core.targets.question import TargetName
from engine.errors import BadInputError
from engine.kinds.language.advantages import estimated, totals
from engine.kinds.language.grpo import group_advantages
from engine.kinds.language.policy import PAD, LanguagePolicy
from engine.kinds.language.sequences import LanguageSnapshot, SequenceBuffer
from engine.store.read import open_run
from engine.store.snapshot import Float32s, check_records
from engine.store.words import counted

TARGETS = ("sequence", "return", "action")
LOGITS_AT_ONCE = 2**27
"""Logits that are held in memory together: half a gigabyte in float32, of which a backward pass keeps a few."""


@dataclass(frozen=True, eq=False)
class TokenTarget:
    """f = sum_it c_it log pi(y_it | before)."""

    name: str
    ids: NDArray[np.int64]
    """(m, L) sequences, `PAD` after the last token."""
    coefficient: Float32s
    """(m, L) c_it."""
    described: dict[str, Any]
    """What it is taken over, in plain values."""
    words: str
    """What it is called."""
    called: TargetName | None = None
    """What names it, where something does."""
    of_kind: ClassVar[str] = "language"

    def __repr__(self) -> str:
        return f"TokenTarget({self.words}; {counted(len(self.ids), 'sequence')})"

    def describe(self) -> dict[str, Any]:
        """What it is about, and a digest of the tokens and their coefficients."""
        return {"target": self.name, **self.described, "tokens": self._digest}

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.ids.tobytes() + self.coefficient.tobytes()).hexdigest()[:16]

    def value(self, policy: LanguagePolicy) -> Tensor:
        """f(theta) as a differentiable 0-d tensor."""
        parts = list(self.parts(policy))
        return torch.stack(parts).sum()

    def parts(self, policy: LanguagePolicy) -> Iterator[Tensor]:
        """The summands of f, in parts that fit the memory, one after another.

        Raises:
            BadInputError: the policy is no language model.
        """
        if not isinstance(policy, LanguagePolicy):
            raise BadInputError(
                f"the {self.name} target is about tokens of a language model, and the policy is a {type(policy).__name__}; "
                "take a target of states and actions, such as engine.ActionTarget"
            )
        for rows in at_once(self.ids.shape, policy):
            ids, coefficient = self.ids[rows], self.coefficient[rows]
            action = policy.actions(ids, coefficient != 0)
            c = torch.as_tensor(coefficient[:, 1:], dtype=policy.dtype, device=policy.device)
            yield (c * policy(policy.encode(ids), action, with_value=False).log_prob).sum()


def at_once(shape: tuple[int, ...], policy: LanguagePolicy) -> list[slice]:
    """(n, L) -> the sequences in parts whose logits fit the memory."""
    n, length = shape
    size = max(1, LOGITS_AT_ONCE // (length * policy.vocabulary))
    return [slice(start, start + size) for start in range(0, n, size)]


def named_target(snapshot: LanguageSnapshot, name: TargetName) -> TokenTarget:
    """`sequence`, `return` (over the round's own sequences or another round's) or `action`, about a span of one response.

    Raises:
        BadInputError: as `engine.core.chosen_targets.named_target`.
    """
    if name.target not in TARGETS:
        raise BadInputError(f"unknown target {name.target!r}; it must be one of {', '.join(TARGETS)}")
    if name.observation or name.action:
        raise BadInputError(
            "observations and actions are not for language models; their action target takes --record and --tokens"
        )
    if name.of_round is not None and name.target != "return":
        raise BadInputError("another round's sequences belong to the return target (--target return)")
    if name.target == "action":
        return replace(_span_of(snapshot, name), called=name)
    if name.about or name.tokens:
        raise BadInputError("a record and its tokens belong to the action target (--target action)")
    if name.target == "sequence":
        return replace(sequence_target(snapshot), called=name)
    if name.of_round is None or name.of_round == snapshot.round:
        return replace(return_target(snapshot), called=name)
    if snapshot.path is None:
        raise BadInputError(f"round {name.of_round} can't be read: only a recorded round knows the others of its run")
    reference = open_run(snapshot.path).snapshot(name.of_round).buffer
    return replace(return_target(snapshot, reference), called=name, words=name.sentence())


def _span_of(snapshot: LanguageSnapshot, name: TargetName) -> TokenTarget:
    if len(name.about) > 1:
        raise BadInputError(
            f"an action target of a language model is about one record, not {len(name.about)}; give --record once"
        )
    if not name.about:
        raise BadInputError("an action target needs a record (--record), whose tokens it is about")
    return span_target(snapshot, name.about[0], *(name.tokens or (None, None)))


def sequence_target(snapshot: LanguageSnapshot) -> TokenTarget:
    """f_seq over the validation sequences, or over the round's own where the run has none."""
    buffer, over = snapshot.validation, "validation"
    if buffer is None:
        buffer, over = snapshot.buffer, "round"
    if snapshot.language.algorithm == "grpo":
        weight = left_out_advantages(buffer)
    else:
        weight = estimated(snapshot, buffer)[buffer.start[1:] - 1].astype(np.float64)
    made = f"{snapshot.language.validation} validation prompts" if over == "validation" else "the round's own prompts"
    return _over(buffer, "sequence", np.repeat(weight, buffer.lengths), over, f"sequence target over {made}")


def return_target(snapshot: LanguageSnapshot, reference: SequenceBuffer | None = None) -> TokenTarget:
    """F_return over the round's own sequences or others, those that were dropped from the update among them.

    Raises:
        BadInputError: the reference is no buffer of sequences.
    """
    buffer = snapshot.buffer if reference is None else reference
    if not isinstance(buffer, SequenceBuffer):
        raise BadInputError(
            "the reference buffer has no sequences; take the buffer of a round of a language model's run"
        )
    if snapshot.language.algorithm == "grpo":
        weight = np.repeat(left_out_advantages(buffer), buffer.lengths)
    else:
        weight = estimated(snapshot, buffer).astype(np.float64)
    return _over(buffer, "return", weight, "round", "return target")


def span_target(
    snapshot: LanguageSnapshot, record: int, first: int | None = None, last: int | None = None
) -> TokenTarget:
    """Why does it say *this* here: the log-probability of a span of a response.

    Args:
        snapshot: round k.
        record: whose response it is.
        first: the span's first token, counted from the beginning of the prompt; by default the response's first.
        last: its last token; by default the response's last.

    Raises:
        BadInputError: there is no such record, or the span is not in its response.
    """
    buffer = snapshot.buffer
    (number,) = check_records([record], len(buffer)).tolist()
    one = buffer.take([number])
    response = np.flatnonzero(one.mask)
    first, last = int(response[0]) if first is None else first, int(response[-1]) if last is None else last
    if not response[0] <= first <= last <= response[-1]:
        raise BadInputError(
            f"tokens {first} to {last} are not in the response of record {number}, which has the tokens {response[0]} to "
            f"{response[-1]}"
        )
    span = np.zeros((1, len(one.token)), np.float32)
    span[0, first : last + 1] = 1
    described = {"of_record": number, "first": first, "last": last}
    words = f"action target, record {number}, " + (f"token {first}" if first == last else f"tokens {first} to {last}")
    return TokenTarget("action", one.token[None].astype(np.int64), span, described, words)


def left_out_advantages(buffer: SequenceBuffer) -> NDArray[np.float64]:
    """(n,) R_i less the mean of the other responses to its prompt, the baseline without a bias; 0 for a group of one.

    Rewards 0, 1, 5 of one group -> -3, -1.5, 4.5.
    """
    centred = group_advantages(totals(buffer), buffer.group, normalizer="dr_grpo")
    size = np.bincount(buffer.group)[buffer.group]
    return centred * size / np.maximum(size - 1, 1)


def _over(buffer: SequenceBuffer, name: str, weight: NDArray[np.float64], over: str, words: str) -> TokenTarget:
    """The mean over a buffer's sequences, with a weight (N,) for each token."""
    coefficient = (np.where(buffer.mask, weight, 0) / len(buffer)).astype(np.float32)
    ids = buffer.padded(buffer.token, PAD).astype(np.int64)
    return TokenTarget(name, ids, buffer.padded(coefficient), {"over": over}, words)
