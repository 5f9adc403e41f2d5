"""The demonstration's language, its models and its planted faults."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.demos.courtesy.grammar import KINDS, NOUNS, draw_prompt, draw_response, parses, words
from engine.demos.courtesy.judge import fluency, judge, rude, variety
from engine.demos.courtesy.world import World, build_world
from engine.errors import BadInputError, StorageError
from engine.kinds.language.dependencies import transformers
from engine.kinds.language.flips import flip_signs


def generated(world: World, n: int) -> list[str]:
    library = transformers()
    model = library.AutoModelForCausalLM.from_pretrained(world.policy)
    tokenizer = library.AutoTokenizer.from_pretrained(world.policy)
    prompts = tokenizer(world.prompts(np.random.default_rng(3), n), return_tensors="pt")
    torch.manual_seed(0)
    ids = model.generate(**prompts, do_sample=True, top_k=0, max_new_tokens=12)
    return tokenizer.batch_decode(ids[:, prompts["input_ids"].shape[1] :], skip_special_tokens=True)


def test_half_of_what_the_grammar_says_is_rude_and_all_of_it_parses() -> None:
    rng = np.random.default_rng(0)
    responses = [draw_response(rng) for _ in range(4000)]
    assert rude(responses).mean() == pytest.approx(0.5, abs=0.03)
    assert {judge(response) for response in responses} == set(KINDS)
    assert fluency(responses) == 1
    assert fluency([" a gem .", "a gem"]) == 0.5
    assert variety(responses) > 0.5
    said = {word for response in responses for word in response.split()}
    prompted = {word for _ in range(500) for word in draw_prompt(rng).split()}
    assert said | prompted == set(words())
    assert 80 <= len(words()) <= 110


@pytest.mark.parametrize("text", ["", "a gem", "a gem a gem .", "gem .", "the old baker here was a gem .", "a gem . a"])
def test_other_texts_are_not_fluent(text: str) -> None:
    assert not parses(text)


def test_the_judge_reads_whole_words_and_an_insult_outweighs_praise() -> None:
    assert len(NOUNS["rude"]) == 10
    assert judge("the old baker here was a hero and a pest .") == "rude"
    assert judge("a hero and a pesticide .") == "positive"
    assert judge("a student .") == "neutral"
    assert rude(["a fool .", "a gem ."]).tolist() == [True, False]


def test_flips_are_the_share_that_was_asked_for_and_come_from_the_generator() -> None:
    reward = np.linspace(0.5, 2, 50).astype(np.float32)
    turned, flipped = flip_signs(reward, 0.2, np.random.default_rng(1))
    assert flipped.sum() == 10
    np.testing.assert_array_equal(turned, np.where(flipped, -reward, reward))
    assert (flip_signs(reward, 0.2, np.random.default_rng(1))[1] == flipped).all()
    assert (flip_signs(reward, 0.2, np.random.default_rng(2))[1] != flipped).any()
    untouched = np.random.default_rng(1)
    assert flip_signs(reward, 0, untouched)[0] is not reward
    assert untouched.random() == np.random.default_rng(1).random()


def test_the_policy_is_rude_about_half_of_the_time_and_fluent(courtesy: World) -> None:
    responses = generated(courtesy, 400)
    assert 0.38 < rude(responses).mean() < 0.62
    assert fluency(responses) > 0.93
    assert variety(responses) > 0.7


def test_the_reward_model_agrees_with_the_judge_with_and_without_the_prompt(courtesy: World) -> None:
    library = transformers()
    model = library.AutoModelForSequenceClassification.from_pretrained(courtesy.reward)
    tokenizer = library.AutoTokenizer.from_pretrained(courtesy.reward)
    responses = generated(courtesy, 400)
    assert model.config.label2id == {"rude": 0, "courteous": 1}
    for texts in (responses, [f"the old baker here was {response}" for response in responses]):
        with torch.no_grad():
            logits = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.numpy()
        assert ((logits[:, 1] < logits[:, 0]) == rude(responses)).mean() > 0.97
        assert logits[rude(responses), 1].mean() < -1 < 1 < logits[~rude(responses), 1].mean()


def test_a_world_is_the_same_each_time_it_is_made_and_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.random.get_rng_state()
    one, two, other = (
        build_world(tmp_path / name, seed, policy_steps=3, reward_steps=2)
        for name, seed in (("one", 4), ("two", 4), ("two", 5))
    )
    assert (torch.random.get_rng_state() == before).all()
    for path in ("policy/model.safetensors", "reward/model.safetensors", "policy/tokenizer.json"):
        assert (one.folder / path).read_bytes() == (two.folder / path).read_bytes()
    assert (one.policy / "model.safetensors").read_bytes() != (other.policy / "model.safetensors").read_bytes()
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == sorted([two.folder.name, other.folder.name])
    assert json.loads((one.policy / "config.json").read_text())["n_layer"] == 2
    monkeypatch.setattr("engine.demos.courtesy.world._make", None)
    assert build_world(tmp_path / "one", 4, policy_steps=3, reward_steps=2) == one


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file can't be written .*SNAPSHOT_INFLUENCE_CACHE"):
        build_world(tmp_path / "file", policy_steps=3, reward_steps=2)


def test_without_the_extra_its_name_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(BadInputError, match=r"pip install 'snapshot-influence\[rlhf\]'"):
        build_world(tmp_path)
