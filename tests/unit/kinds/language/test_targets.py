"""Targets of language runs: their definitions by hand, and what is no target."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import engine
from engine.core.chosen_targets import named_target
from engine.core.targets.question import TargetName
from engine.errors import BadInputError
from engine.kinds.language.advantages import totals
from engine.kinds.language.models import restore_policy
from engine.kinds.language.targets import left_out_advantages
from engine.store.read import Run


def test_why_this_word_here(ppo: Run) -> None:
    """An action target is the log-probability of a span; a record that says the same raises it if it did well."""
    snapshot = ppo.snapshot(1)
    buffer = snapshot.buffer
    words = np.flatnonzero(buffer.mask[buffer.tokens_of(2)])
    target = engine.action_target(snapshot, record=2, tokens=(int(words[0]), int(words[0])))
    with torch.no_grad():
        value = float(target.value(restore_policy(snapshot)))
    assert value == pytest.approx(buffer.log_prob[buffer.tokens_of(2)][words[0]], abs=1e-5)
    assert target.describe() | {"tokens": ""} == {
        "target": "action",
        "of_record": 2,
        "first": int(words[0]),
        "last": int(words[0]),
        "tokens": "",
    }
    assert target.words == f"action target, record 2, token {words[0]}"
    assert engine.influence(snapshot, target).influence.any()
    whole = engine.action_target(snapshot, record=2)
    assert whole.describe()["last"] == words[-1]
    with pytest.raises(BadInputError, match="not in the response of record 2"):
        engine.action_target(snapshot, record=2, tokens=(0, 1))
    with pytest.raises(BadInputError, match="needs a record"):
        named_target(snapshot, "action")
    with pytest.raises(BadInputError, match="belong to the action target"):
        named_target(snapshot, TargetName(target="return", about=2))
    with pytest.raises(BadInputError, match="one of sequence, return, action"):
        named_target(snapshot, "reward")


def test_targets_by_hand(ppo: Run, grpo: Run) -> None:
    """F is the mean over the sequences of the weight that the definition gives each, times its log-probability."""
    for run in (ppo, grpo):
        snapshot = run.snapshot(1)
        for name, buffer in (("sequence", snapshot.validation), ("return", snapshot.buffer)):
            assert buffer is not None
            weights = (
                buffer.advantage if name == "return" else buffer.advantage[buffer.start[1:] - 1][buffer.record_of_token]
            )
            if run is grpo:
                weights = left_out_advantages(buffer)[buffer.record_of_token]
            policy = restore_policy(snapshot)
            ids = buffer.padded(buffer.token, -1)
            log_prob = policy(policy.encode(ids), policy.actions(ids, buffer.padded(buffer.mask)), False).log_prob
            expected = (np.pad(log_prob.detach().numpy(), ((0, 0), (1, 0))) * buffer.padded(weights)).sum() / len(
                buffer
            )
            with torch.no_grad():
                assert float(named_target(snapshot, name).value(policy)) == pytest.approx(expected, rel=1e-4)


def test_left_out_baseline_by_hand(grpo: Run) -> None:
    buffer = grpo.snapshot(0).buffer
    reward = totals(buffer)
    others = [
        np.flatnonzero((buffer.group == buffer.group[i]) & (np.arange(len(buffer)) != i)) for i in range(len(buffer))
    ]
    expected = [reward[i] - reward[rest].mean() for i, rest in enumerate(others)]
    assert left_out_advantages(buffer) == pytest.approx(expected)
