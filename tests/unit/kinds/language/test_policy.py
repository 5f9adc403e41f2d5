"""A language model as a policy: what it says of tokens, whatever is beside and behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from language_models import gpt2, llama, policy_of, random_batch, random_ids

from engine.config import TrainConfig
from engine.core.objective import objective
from engine.errors import BadInputError, DamagedRunError
from engine.kinds.language.grpo import group_advantages, without_signal
from engine.kinds.language.models import pretrained_model
from engine.kinds.language.objective import shares, trimmed
from engine.kinds.language.policy import LanguagePolicy, with_adapter

MODELS = {"gpt2": gpt2, "llama": llama}
ROUNDING = {"GPT2LMHeadModel": 1e-12, "LlamaForCausalLM": 1e-6}
"""Llama's norms and attention compute in float32, whatever the parameters' precision."""


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]()


def test_log_prob_of_a_token_is_the_model_s_own(model: Any) -> None:
    """Prompt 3, 5 and response 8, 1: two numbers, of the positions that the response's tokens were sampled at."""
    policy = policy_of(model, temperature=0.5)
    ids = np.array([[3, 5, 8, 1, -1]])
    found = policy(policy.encode(ids), policy.actions(ids, np.array([[False, False, True, True, False]])))
    log_probs = (model(torch.tensor([[3, 5, 8, 1]])).logits / 0.5).log_softmax(-1)[0]
    expected = torch.stack([0 * log_probs[0, 0], log_probs[1, 8], log_probs[2, 1], 0 * log_probs[0, 0]])[None]
    torch.testing.assert_close(found.log_prob, expected)
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    torch.testing.assert_close(found.entropy[0, 1:3], entropy[1:3])
    assert found.value is not None
    assert found.value[0].ne(0).tolist() == [False, True, True, False]


def test_value_is_zero_before_anything_was_learned() -> None:
    policy = LanguagePolicy(gpt2())
    ids, mask = random_ids()
    assert not policy(policy.encode(ids), policy.actions(ids, mask)).value.any()


def test_padding_and_neighbours_change_nothing(model: Any) -> None:
    policy = policy_of(model)
    rounding = ROUNDING[type(model).__name__]
    ids, mask = random_ids()
    together = policy(policy.encode(ids), policy.actions(ids, mask))
    for i in range(len(ids)):
        length = int((ids[i] >= 0).sum())
        own, own_mask = ids[i : i + 1, :length], mask[i : i + 1, :length]
        alone = policy(policy.encode(own), policy.actions(own, own_mask))
        for part, whole in zip(alone, together, strict=True):
            torch.testing.assert_close(part[0], whole[i, : length - 1], rtol=rounding, atol=rounding)
            assert not whole[i, length - 1 :].any()


def test_objective_is_that_of_single_tokens(model: Any) -> None:
    """By tokens as if each were a record of its own; 0 where there is no response, and where a sequence was dropped."""
    policy, config = policy_of(model), TrainConfig(env_id="language", ent_coef=0.1)
    batch = random_batch(policy)
    batch = batch._replace(kept=torch.arange(len(batch.kept)) != 2)
    terms = objective(policy(batch.inputs, batch.action), batch, config)
    tokens = batch.action >= 0
    assert not terms.total()[~tokens].any()
    assert not terms.actor[2].any()
    assert terms.critic[2].any()
    evaluation = policy(batch.inputs, batch.action)
    ratio = (evaluation.log_prob - batch.log_prob).exp()
    assert bool(((ratio - 1).abs() > config.clip_range).any())
    expected = torch.minimum(ratio * batch.advantage, ratio.clamp(0.8, 1.2) * batch.advantage)
    kept = batch.kept[:, None] & tokens
    torch.testing.assert_close(terms.actor[kept], expected[kept])


def test_trimming_leaves_out_nothing_but_padding() -> None:
    policy, config = policy_of(gpt2()), TrainConfig(env_id="language")
    batch = random_batch(policy).take(torch.tensor([0, 1, 2]))
    short = trimmed(batch)
    assert short.inputs.shape[1] < batch.inputs.shape[1]
    before, after = (objective(policy(b.inputs, b.action), b, config).total().sum() for b in (batch, short))
    torch.testing.assert_close(before, after)


@pytest.mark.parametrize(
    ("normalizer", "expected"),
    [
        ("token", [1 / 4, 1 / 4, 0]),
        ("dapo", [1 / 4, 1 / 4, 0]),
        ("grpo", [1 / 2, 1 / 6, 0]),
        ("dr_grpo", [1 / 10, 1 / 10, 0]),
    ],
)
def test_shares_of_two_sequences_of_one_and_three_tokens(normalizer: Any, expected: list[float]) -> None:
    policy = policy_of(gpt2())
    batch = random_batch(policy, 3)
    action = torch.full((3, 4), -1)
    action[0, 1], action[1, :3], action[2, :] = 5, 6, 7
    part = batch._replace(action=action, kept=torch.tensor([True, True, False]))
    assert shares(part, normalizer, 5)[:, 0].tolist() == pytest.approx(expected)


def test_group_advantages_by_hand() -> None:
    rewards, groups = [0, 1, 1, 4, 2, 2], [0, 0, 0, 0, 1, 1]
    found = group_advantages(rewards, groups, normalizer="dr_grpo")
    assert found.tolist() == [-1.5, -0.5, -0.5, 2.5, 0, 0]
    scaled = group_advantages(rewards, groups)
    assert scaled[:4] == pytest.approx(found[:4] / (np.std(rewards[:4], ddof=1) + 1e-4))
    without_last = group_advantages(rewards, groups, np.arange(6) != 3, "dr_grpo")
    assert without_last == pytest.approx([-2 / 3, 1 / 3, 1 / 3, 0, 0, 0])
    assert without_signal(rewards, groups).tolist() == [False] * 4 + [True] * 2
    assert without_signal(rewards, groups, np.array([0, 1, 1, 0, 1, 1], bool)).all()


def test_a_checkpoint_fits_its_model_alone() -> None:
    policy = LanguagePolicy(gpt2(1))
    parameters = {name: p.detach().numpy() for name, p in policy.named_parameters()}
    again = LanguagePolicy(gpt2(2)).load(parameters)
    batch = random_batch(policy_of(gpt2()))
    a, b = (one(batch.inputs, batch.action) for one in (policy, again))
    assert torch.equal(a.log_prob, b.log_prob)
    bias = parameters.pop("value_head.bias")
    with pytest.raises(DamagedRunError, match="does not fit"):
        again.load(parameters)
    for other in (bias[None], bias.astype(np.int32)):
        with pytest.raises(
            DamagedRunError, match=r"value_head\.bias has shape .* in the checkpoint, not \(1,\) and float32"
        ):
            again.load({**parameters, "value_head.bias": other})


def test_an_adapter_trains_little_and_begins_as_the_model(tmp_path: Path) -> None:
    gpt2(1).save_pretrained(tmp_path)
    plain = LanguagePolicy(pretrained_model(tmp_path))
    adapted = LanguagePolicy(with_adapter(pretrained_model(tmp_path), rank=2, seed=3))
    trained = {name: p.detach().numpy() for name, p in adapted.named_parameters() if p.requires_grad}
    assert all("lora_" in name or name.startswith("value_head.") for name in trained)
    batch = random_batch(policy_of(gpt2()))
    a, b = (policy(batch.inputs, batch.action) for policy in (plain, adapted))
    assert torch.equal(a.log_prob, b.log_prob)
    again = LanguagePolicy(with_adapter(pretrained_model(tmp_path), rank=2, seed=4)).load(trained)
    assert all(np.array_equal(dict(again.named_parameters())[name].detach(), array) for name, array in trained.items())


def test_a_path_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="can't be loaded as a causal language model") as error:
        pretrained_model(tmp_path)
    assert "\n" not in str(error.value)
