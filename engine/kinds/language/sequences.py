"""The values that a language model's round is made of, in memory: its sequences with their tokens, and the snapshot.

A record of such a run is a sequence, a prompt and the response to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.config_language import LanguageConfig
from engine.errors import BadInputError
from engine.store.snapshot import Float32s, Records, Snapshot, check_records
from engine.store.words import counted, tally


@dataclass(frozen=True, repr=False)
class SequenceBuffer(Records):
    """The sequences of one round: columns of length n, one value a record, and columns of length N, one value a token.

    A record's tokens lie one after another, those of the prompt first; on the prompt's tokens every number is 0.
    """

    prompt: list[str]
    response: list[str]
    """Without the end token."""
    group: NDArray[np.int32]
    """(n,) number of the prompt; the responses to one prompt share it."""
    reward: Float32s
    """(n,) what the reward model says and the training saw, without the KL penalty."""
    reward_parts: Mapping[str, Float32s]
    """Name -> (n,) what the reward is made of; on disk the columns `reward/<name>`."""
    truncated: NDArray[np.bool_]
    """(n,) the response was cut off at its greatest length, before an end token."""
    kept: NDArray[np.bool_]
    """(n,) False where a filter or an intervention dropped the record from the update."""
    repaired: NDArray[np.bool_]
    """(n,) True where a filter or an intervention put something else in the place of the tokens' advantages (`core.repairs`)."""
    start: NDArray[np.int64]
    """(n + 1,) record i has the tokens start[i] to start[i + 1] - 1."""
    token: NDArray[np.int32]
    """(N,) numbers of the vocabulary."""
    mask: NDArray[np.bool_]
    """(N,) True on the response's tokens, its end token among them."""
    log_prob: Float32s
    """(N,) log pi(token | those before it) at theta(k)."""
    reference_log_prob: Float32s
    """(N,) the same under the frozen reference."""
    value: Float32s
    """(N,) V before the token; 0 for GRPO."""
    kl: Float32s
    """(N,) log_prob - reference_log_prob."""
    token_reward: Float32s
    """(N,) -kl_coef * kl, and on the last token the record's reward as well; on disk called `reward`."""
    advantage: Float32s
    """(N,) as the update uses it: GAE or a repair, normalised over the round, or relative to the group (GRPO)."""
    returns: Float32s
    """(N,) GAE + value, which the value learns; 0 for GRPO; on disk called `return`."""
    entropy: Float32s
    """(N,) of pi(. | tokens before) at theta(k)."""
    text: pa.BinaryArray | None = None
    """(N,) what each token says, its own bytes: see `token_texts`. None in runs up to version 3."""

    def __len__(self) -> int:
        return len(self.start) - 1

    def __repr__(self) -> str:
        return f"SequenceBuffer({tally(self.kept)}, {counted(len(self.token), 'token')})"

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) tokens of each record, prompt and response."""
        return np.diff(self.start)

    @property
    def record_of_token(self) -> NDArray[np.int32]:
        """(N,) the record that each token belongs to."""
        return np.repeat(self.record, self.lengths)

    def tokens_of(self, record: int) -> slice:
        """Where a record's tokens are in the token columns."""
        return slice(int(self.start[record]), int(self.start[record + 1]))

    def padded(self, column: NDArray[Any], fill: Any = 0) -> NDArray[Any]:
        """(N,) one value a token -> (n, T), T the longest record; `fill` after each record's end."""
        lengths = self.lengths
        wide = np.full((len(self), int(lengths.max(initial=0))), fill, column.dtype)
        wide[np.arange(wide.shape[1]) < lengths[:, None]] = column
        return wide

    def take(self, records: Any) -> SequenceBuffer:
        """The records of these numbers, in this order."""
        index = np.asarray(records, np.int64)
        tokens = np.concatenate([np.arange(self.start[i], self.start[i + 1]) for i in index] or [np.zeros(0, np.int64)])
        columns: dict[str, Any] = {name: getattr(self, name)[tokens] for name in TOKEN_COLUMNS}
        columns |= {name: getattr(self, name)[index] for name in ("group", "reward", "truncated", "kept", "repaired")}
        return SequenceBuffer(
            prompt=[self.prompt[i] for i in index],
            response=[self.response[i] for i in index],
            reward_parts={name: part[index] for name, part in self.reward_parts.items()},
            start=np.concatenate([[0], np.cumsum(self.lengths[index])]).astype(np.int64),
            text=None if self.text is None else self.text.take(pa.array(tokens)),
            **columns,
        )


OTHERS = ("prompt", "response", "group", "reward", "reward_parts", "truncated", "kept", "repaired", "start", "text")
TOKEN_COLUMNS = tuple(field.name for field in fields(SequenceBuffer) if field.name not in OTHERS)
"""The columns of `SequenceBuffer` with one number a token."""


@dataclass(frozen=True, kw_only=True, repr=False)
class LanguageSnapshot(Snapshot):
    """A language model's round k as it stood between collect and update.

    Its checkpoint has `parameter/...` (with adapters only these and the value head) and `kl/coefficient`. Its path is the
    run's folder, which has the model's description beside its rounds; a changed snapshot keeps it.
    """

    kind = "language"
    language: LanguageConfig
    buffer: SequenceBuffer
    validation: SequenceBuffer | None
    """Responses of pi_theta(k) to held-out prompts, or of the policy before training where these are fixed; None: the run
    has none."""
    named_here: bool = False
    """Whether the person at the keyboard named the models of the settings, as in training; a run that is read never does."""

    def without(self, drop: Any, *, actor_only: bool = False) -> Self:
        """The same snapshot with the records `drop` marked as not kept.

        Raises:
            BadInputError: a record number is out of range, no record would be left, a GRPO group would lose all of its, or
                the actor alone is to go without them.
        """
        if actor_only:
            raise BadInputError(
                "a sequence goes from the whole update: a language model's actor and critic are one network"
            )
        left, before = super().without(drop), self.buffer
        if self.language.algorithm == "grpo":
            gone = np.setdiff1d(before.group[check_records(drop, len(before))], before.group[left.buffer.kept])
            if len(gone):
                raise BadInputError(
                    f"all responses to prompt {gone[0]} would be removed, and GRPO compares the responses to a prompt; keep "
                    "at least one of each group"
                )
        return left
