"""A round of sequences: groups of responses to each prompt, scored, with what the policy says of every token."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from languages import Broken, Counted, settings, write_models

from engine.errors import BadInputError, BadNumberError
from engine.kinds.language.collect import RolloutContext
from engine.kinds.language.models import Reference, load_policy, model_source
from engine.kinds.language.policy import LanguagePolicy
from engine.kinds.language.sequences import SequenceBuffer

PROMPTS = ["the cat was", "so"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    write_models(made)
    return made


def begun(folder: Path, reward_model: Any) -> tuple[RolloutContext, LanguagePolicy]:
    config, language = settings(folder, algorithm="grpo", group_size=3, vf_coef=0.0)
    policy, tokenizer = load_policy(config, language, model_source(language))
    return RolloutContext(config, language, tokenizer, reward_model, Reference(policy, language)), policy


@pytest.fixture
def context(folder: Path) -> tuple[RolloutContext, LanguagePolicy]:
    return begun(folder, Counted())


def collected(
    context: tuple[RolloutContext, LanguagePolicy], prompts: list[str] = PROMPTS, luck: int = 0
) -> SequenceBuffer:
    return context[0].respond(context[1], prompts, np.random.default_rng(luck), None)


def test_each_prompt_has_a_group_of_responses(context: tuple[RolloutContext, LanguagePolicy]) -> None:
    buffer = collected(context)
    assert buffer.prompt == ["the cat was"] * 3 + ["so"] * 3
    assert buffer.group.tolist() == [0, 0, 0, 1, 1, 1]
    assert buffer.reward.tolist() == [text.split().count("glad") for text in buffer.response]
    assert np.array_equal(buffer.reward_parts["model"], buffer.reward)
    assert buffer.kept.all()
    tokenizer = context[0].tokenizer
    for i in buffer.record:
        tokens, mask = (column[buffer.tokens_of(i)] for column in (buffer.token, buffer.mask))
        n = len(tokenizer(buffer.prompt[i])["input_ids"])
        assert mask.tolist() == [False] * n + [True] * (len(tokens) - n)
        assert 1 <= len(tokens) - n <= 6
        assert buffer.truncated[i] == (tokens[-1] != tokenizer.eos_token_id)
        said = b"".join(buffer.text[buffer.tokens_of(i)].to_pylist()).decode()
        assert re.sub(" <end>| <pad>| <unk>", "", said) == buffer.prompt[i] + buffer.response[i]
        assert tokenizer.decode(tokens, skip_special_tokens=True) == buffer.prompt[i] + buffer.response[i]


def test_tokens_have_the_probabilities_that_they_were_drawn_with(
    context: tuple[RolloutContext, LanguagePolicy],
) -> None:
    """And before anything was learned, the reference says the same."""
    buffer = collected(context)
    for i in buffer.record:
        rows = buffer.tokens_of(i)
        ids = torch.as_tensor(buffer.token[rows])[None].long()
        with torch.no_grad():
            said = context[1].model(input_ids=ids).logits[0].log_softmax(-1)
        own = buffer.mask[rows]
        expected = said[:-1].gather(1, ids[0, 1:, None])[:, 0].numpy()[own[1:]]
        np.testing.assert_allclose(buffer.log_prob[rows][own], expected, atol=1e-5)
        np.testing.assert_allclose(buffer.reference_log_prob[rows][own], expected, atol=1e-5)
        np.testing.assert_allclose(
            buffer.entropy[rows][own], -(said.exp() * said).sum(-1).numpy()[:-1][own[1:]], atol=1e-4
        )
        assert not buffer.log_prob[rows][~own].any(), "nobody drew the prompt"


def test_equal_luck_gives_equal_responses(context: tuple[RolloutContext, LanguagePolicy]) -> None:
    one, again, other = (collected(context, luck=luck) for luck in (1, 1, 2))
    assert one.response == again.response != other.response
    first = collected(context, PROMPTS[:1], luck=1)
    assert first.response == one.response[:3], "whatever is asked beside it"


def test_what_a_reward_is_made_of_is_kept(folder: Path) -> None:
    class Judged(Counted):
        def score(self, prompts: Any, responses: Any) -> dict[str, np.ndarray]:
            return super().score(prompts, responses) | {"judge": np.arange(len(responses))}

    buffer = collected(begun(folder, Judged()))
    assert set(buffer.reward_parts) == {"model", "judge"}
    assert buffer.reward_parts["judge"].tolist() == [0, 1, 2, 3, 4, 5]
    assert buffer.reward_parts["judge"].dtype == np.float32


def test_a_reward_that_is_no_number_names_its_record(folder: Path) -> None:
    with pytest.raises(BadNumberError, match="the reward model gave nan for record 1"):
        collected(begun(folder, Broken()))


def test_a_policy_that_says_no_number_stops_the_round(context: tuple[RolloutContext, LanguagePolicy]) -> None:
    with torch.no_grad():
        context[1].model.transformer.ln_f.bias.fill_(np.nan)
    with pytest.raises(BadNumberError, match="NaN or infinite"):
        collected(context)


def test_another_reference_is_noticed(context: tuple[RolloutContext, LanguagePolicy]) -> None:
    buffer = collected(context)
    context[0].check_reference(buffer)
    changed = replace(buffer, reference_log_prob=buffer.reference_log_prob - 0.1 * buffer.mask)
    with pytest.raises(BadInputError, match="is not the one that this run began with"):
        context[0].check_reference(changed)
