"""What a person would ask about a sequence: how long it is, what it was rewarded for, and what the policy thought of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from engine.core.features import Feature, dropped, number, repaired, share
from engine.kinds.language.sequences import LanguageSnapshot, SequenceBuffer
from engine.store.snapshot import Float32s


def features(snapshot: LanguageSnapshot) -> Iterator[Feature]:
    """All that the round's columns know; nothing of it needs the model."""
    buffer = snapshot.buffer
    yield from _of_the_reward(buffer)
    yield from _of_the_tokens(buffer)
    yield from _of_its_place(buffer)
    yield dropped(buffer.kept)
    if buffer.repaired.any():
        yield repaired(buffer.repaired)


def several_parts(buffer: SequenceBuffer) -> Mapping[str, Float32s]:
    """What the rewards are made of; nothing where that is a single part, the reward itself."""
    parts = buffer.reward_parts
    same = len(parts) == 1 and all(np.array_equal(part, buffer.reward) for part in parts.values())
    return {} if same else parts


def _of_the_reward(buffer: SequenceBuffer) -> Iterator[Feature]:
    advantage = buffer.advantage[buffer.start[1:] - 1]
    yield number("reward", buffer.reward)
    for name, part in several_parts(buffer).items():
        yield number(f"reward/{name}", part)
    yield number("advantage of the last token", advantage)
    yield number("size of the advantage", np.abs(advantage))
    yield share("positive advantage", "have a positive advantage", advantage > 0)


def _of_the_tokens(buffer: SequenceBuffer) -> Iterator[Feature]:
    length = _sums(buffer, np.ones(len(buffer.token)))
    yield number("length of the response", length)
    yield number("length of the prompt", buffer.lengths - length)
    yield share("truncated", "were cut off at their greatest length", buffer.truncated)
    yield number("KL", _sums(buffer, buffer.kl))
    for name, column in (
        ("KL per token", buffer.kl),
        ("mean log probability", buffer.log_prob),
        ("mean entropy", buffer.entropy),
    ):
        yield number(
            name, np.divide(_sums(buffer, column), length, out=np.full(len(length), math.nan), where=length > 0)
        )


def _of_its_place(buffer: SequenceBuffer) -> Iterator[Feature]:
    """Where the record lies in the round and, where prompts have several responses, among those to its prompt."""
    yield number("position in the round", buffer.record)
    _, size = np.unique(buffer.group, return_counts=True)
    if (size > 1).any():
        by_group = np.argsort(buffer.group, kind="stable")
        position = np.empty(len(buffer))
        position[by_group] = np.concatenate([np.arange(count) for count in size])
        yield number("position in its group", position)


def _sums(buffer: SequenceBuffer, column: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N,) one number a token -> (n,) sums over the responses."""
    return np.bincount(buffer.record_of_token, column * buffer.mask, len(buffer)).astype(np.float64)
