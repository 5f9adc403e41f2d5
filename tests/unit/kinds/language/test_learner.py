"""Training a language model: what is recorded, that it is replayed and continued bit for bit, and what bad input is told."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from language_models import VOCABULARY, gpt2, llama, random_model
from languages import CONTEXT, Broken, Counted, record_language, settings, write_models
from worlds import same_tensors

import engine
from engine.core.filtering import Filtered
from engine.core.replays.rebuilt_policy import rebuilt_policy
from engine.core.replays.replayed_run import replay_run
from engine.core.training import rounds_with
from engine.errors import BadInputError, BadNumberError, DamagedRunError
from engine.intervention.plan import unrepairable
from engine.kinds.language.advantages import token_advantages, whiten
from engine.kinds.language.models import load_tokenizer, recorded_tokenizer, restore_policy
from engine.kinds.language.policy import PAD, LanguagePolicy
from engine.kinds.language.presets import LanguageSettings
from engine.kinds.language.sampling import draw_tokens, generate
from engine.store import Run, open_run, verify_run

pytestmark = pytest.mark.long


def gpt_neo():
    """Half of its layers see only the last four tokens."""
    from transformers import GPTNeoConfig

    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 16,
        "num_layers": 2,
        "num_heads": 2,
        "max_position_embeddings": 24,
    }
    layers = [[["global", "local"], 1]]
    return random_model(
        GPTNeoConfig(**sizes, attention_types=layers, window_size=4, bos_token_id=0, eos_token_id=0), seed=2
    )


FAMILIES = {"gpt2": gpt2, "llama": llama, "gpt_neo": gpt_neo}
GRPO = {"algorithm": "grpo", "group_size": 4, "rounds": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("languages")
    write_models(path)
    return path


@pytest.fixture(scope="module")
def ppo(folder: Path) -> Run:
    return record_language(folder, "ppo", rounds=3)


@pytest.fixture(scope="module")
def grpo(folder: Path) -> Run:
    return record_language(folder, "grpo", **GRPO)


def test_a_round_has_its_sequences_and_all_that_was_known_of_each_token(ppo):
    assert verify_run(ppo.path) == []
    assert [info.metrics["records"] for info in ppo.rounds] == [12, 12, 12]
    snapshot = ppo.snapshot(1)
    buffer, tokenizer = snapshot.buffer, recorded_tokenizer(ppo.path)
    policy = restore_policy(snapshot)
    for i in range(len(buffer)):
        part = buffer.tokens_of(i)
        tokens, mask = buffer.token[part], buffer.mask[part]
        assert tokenizer.decode(tokens[~mask]) == buffer.prompt[i]
        ended = tokens[-1] == tokenizer.eos_token_id
        assert buffer.truncated[i] != ended
        assert tokenizer.decode(tokens, skip_special_tokens=True) == buffer.prompt[i] + buffer.response[i]
        assert 1 <= mask.sum() <= 6
        with torch.no_grad():
            logits = policy.model(torch.as_tensor(tokens[None].astype(np.int64))).logits[0].log_softmax(-1)
        alone = [float(logits[t - 1, tokens[t]]) for t in np.flatnonzero(mask)]
        np.testing.assert_allclose(buffer.log_prob[part][mask], alone, atol=2e-6)
        assert (buffer.log_prob[part][~mask] == 0).all()
    np.testing.assert_array_equal(buffer.kl, buffer.log_prob - buffer.reference_log_prob)
    np.testing.assert_array_equal(buffer.reward, buffer.reward_parts["model"])
    assert snapshot.metrics["mean_kl"] == pytest.approx(buffer.kl.sum() / 12, rel=1e-5)
    assert set(snapshot.validation.prompt).isdisjoint(buffer.prompt)


def test_every_round_is_verified_and_a_changed_token_is_noticed(ppo):
    found = list(replay_run(ppo))
    assert [each.equal for each in found] == [True] * 3
    assert all(each.log_prob < 1e-5 for each in found)
    snapshot = ppo.snapshot(1)
    log_prob = snapshot.buffer.log_prob.copy()
    log_prob[np.flatnonzero(snapshot.buffer.mask)[-1]] -= 0.25
    changed = rebuilt_policy(snapshot.changed(buffer=replace(snapshot.buffer, log_prob=log_prob)))
    assert (changed.near, changed.largest) == (False, pytest.approx(0.25, abs=1e-3))
    assert ppo.snapshot(0).buffer.kl.any() == np.False_
    assert ppo.snapshot(0).validation.response != snapshot.validation.response


@pytest.mark.parametrize("fixture", ["ppo", "grpo"])
def test_replay_has_the_bits_of_the_original(fixture, request):
    run = request.getfixturevalue(fixture)
    for k in run.stored_rounds:
        following = run.checkpoint(k + 1)
        for name, tensor in engine.replay(run.snapshot(k)).checkpoint.items():
            assert following[name].tobytes() == tensor.tobytes(), (k, name)


@pytest.mark.parametrize("mode", ["mask", "rebatch"])
def test_replay_without_a_record_is_the_update_of_a_round_that_never_had_it(ppo, mode):
    snapshot = ppo.snapshot(1)
    found = engine.replay(snapshot, [3, 7], mode=mode, order=2)
    same_tensors(engine.replay(snapshot, [7, 3], mode=mode, order=2).checkpoint, found.checkpoint)
    left = np.setdiff1d(np.arange(12), [3, 7])
    place = np.searchsorted(left, found.snapshot.minibatches)
    orders = [order[np.isin(found.snapshot.minibatches[i], left)] for i, order in enumerate(place)]
    if mode == "rebatch":
        # Minibatches of 5 records out of the ten that are left: the smaller round has the same ones.
        smaller = snapshot.changed(buffer=snapshot.buffer.take(left), minibatches=np.stack(orders).astype(np.int32))
        same_tensors(engine.replay(smaller).checkpoint, found.checkpoint)
    else:
        assert found.metrics.steps == engine.replay(snapshot).metrics.steps
    original = engine.replay(snapshot).checkpoint
    assert any((found.checkpoint[name] != tensor).any() for name, tensor in original.items())


def test_a_sequence_of_weight_0_is_as_if_left_out_and_one_of_weight_2_counts_twice(ppo):
    snapshot = ppo.snapshot(1)
    n = len(snapshot.buffer)
    weights = np.ones(n)
    weights[[1, 4]] = 0
    found, expected = engine.replay(snapshot, weights=weights), engine.replay(snapshot, [1, 4])
    for one, other in zip(found.policy.parameters(), expected.policy.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-6)
    with pytest.raises(BadInputError, match=f"weights must be {n} finite numbers"):
        engine.replay(snapshot, weights=[1.0])


def test_grpo_compares_those_that_are_left_with_each_other(grpo):
    snapshot = grpo.snapshot(1)
    left = engine.replay(snapshot, [0]).snapshot.buffer
    before = snapshot.buffer
    totals = np.array([before.token_reward[before.tokens_of(i)].sum() for i in (1, 2, 3)], np.float64)
    expected = (totals - totals.mean()) / (totals.std(ddof=1) + 1e-4)
    for i, advantage in zip((1, 2, 3), expected, strict=True):
        part = before.tokens_of(i)
        np.testing.assert_allclose(left.advantage[part], np.where(before.mask[part], advantage, 0), rtol=1e-5)
    for i in range(4, 12):
        np.testing.assert_array_equal(left.advantage[before.tokens_of(i)], before.advantage[before.tokens_of(i)])
    with pytest.raises(BadInputError, match="all responses to prompt 1 would be removed"):
        engine.replay(snapshot, [4, 5, 6, 7])


def test_a_repaired_response_trains_with_its_tokens_td_errors(ppo, grpo):
    snapshot = ppo.snapshot(1)
    before, config = snapshot.buffer, snapshot.config
    own = before.tokens_of(3)
    by_hand = token_advantages(before, gamma=config.gamma, gae_lambda=config.gae_lambda)
    by_hand[own] = token_advantages(before, gamma=config.gamma, gae_lambda=0.0)[own]
    repaired = engine.replay(snapshot, repair=[3]).snapshot.buffer
    np.testing.assert_allclose(repaired.advantage, whiten(by_hand, before.mask), atol=1e-4)
    np.testing.assert_array_equal(repaired.returns, before.returns)
    with pytest.raises(BadInputError, match="advantages of GRPO are relative to the responses of a prompt"):
        engine.replay(grpo.snapshot(1), repair=[3])
    assert "follow from no values" in unrepairable(grpo.snapshot(1), [3])
    assert unrepairable(snapshot, [3]) == ""


@pytest.mark.parametrize("changes", [{"kl_target": 0.5, "kl_horizon": 50}, {"validation": "fixed"}, {"lora_rank": 2}])
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(folder, tmp_path, changes):
    whole = record_language(folder, f"whole-{next(iter(changes))}", rounds=3, **changes)
    config, language = settings(folder, rounds=3, **changes)
    path = tmp_path / "stopped"
    for snapshot in engine.rounds(LanguageSettings(language, config), path):
        if snapshot.round == 2:  # rounds 0 and 1 are committed, round 2 is lost
            break
    assert open_run(path).stored_rounds == [0, 1]
    for _ in engine.rounds(LanguageSettings(language, config), path, resume=True):
        pass
    resumed = open_run(path)
    for k in range(4):
        same_tensors(resumed.checkpoint(k), whole.checkpoint(k))
    for k in range(3):
        for name in ("token", "log_prob", "advantage", "reward"):
            found, expected = (getattr(run.snapshot(k).buffer, name) for run in (resumed, whole))
            assert found.tobytes() == expected.tobytes(), name
    assert list(engine.rounds(LanguageSettings(language, config), path, resume=True)) == []
    with pytest.raises(BadInputError, match=r"started with temperature=1.0, not 0.5; resume it with the same settings"):
        list(engine.rounds(LanguageSettings(replace(language, temperature=0.5), config), path, resume=True))


def test_fixed_validation_is_that_of_the_first_round(folder):
    run = record_language(folder, "fixed", validation="fixed")
    first, second = (run.snapshot(k).validation for k in (0, 1))
    assert first.response == second.response
    np.testing.assert_array_equal(first.log_prob, second.log_prob)
    assert record_language(folder, "none", validation_prompts=0).snapshot(0).validation is None


def test_a_resumed_run_is_not_measured_against_another_reference(folder, tmp_path):
    shutil.copytree(folder / "policy", tmp_path / "policy")
    config, language = settings(folder)
    language = replace(language, policy=str(tmp_path / "policy"))
    next(training := engine.rounds(LanguageSettings(language, config), tmp_path / "run"))
    next(training)
    training.close()
    write_other = load_tokenizer(tmp_path / "policy")
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(tmp_path / "policy")
    with torch.no_grad():
        model.transformer.wte.weight.mul_(1.5)
    model.save_pretrained(tmp_path / "policy")
    write_other.save_pretrained(tmp_path / "policy")
    with pytest.raises(BadInputError, match="is not the one that this run began with"):
        list(engine.rounds(LanguageSettings(language, config), tmp_path / "run", resume=True))


def test_adapters_alone_are_trained_and_kept(folder):
    run = record_language(folder, "adapters", lora_rank=2)
    names = [name for name in run.checkpoint(2) if name.startswith("parameter/")]
    assert all("lora_" in name or "value_head" in name for name in names)
    assert not run.snapshot(0).buffer.kl.any()
    assert run.snapshot(1).buffer.kl.any()
    full = record_language(folder, "full").checkpoint(2)
    assert (
        sum(run.checkpoint(2)[name].size for name in names) < full["parameter/model.transformer.wte.weight"].size * 12
    )


def test_a_gradient_in_parts_is_the_gradient_at_once(folder):
    at_once, in_parts = (record_language(folder, f"parts-{n}", accumulation=n).checkpoint(1) for n in (1, 3))
    for name, tensor in at_once.items():
        if name.startswith("optimizer/exp_avg/"):
            np.testing.assert_allclose(in_parts[name], tensor, atol=1e-6)


def test_padding_and_neighbours_change_nothing(ppo):
    snapshot = ppo.snapshot(2)
    policy, buffer = restore_policy(snapshot), snapshot.buffer
    prompts = [buffer.token[buffer.tokens_of(i)][~buffer.mask[buffer.tokens_of(i)]] for i in range(12)]
    assert len({len(prompt) for prompt in prompts}) > 1
    noise = np.random.default_rng(5).random((12, 6))
    together = generate(policy, prompts, noise, 0, snapshot.language)
    for i in range(12):
        [alone] = generate(policy, prompts[i : i + 1], noise[i : i + 1], 0, snapshot.language)
        assert alone.tokens.tolist() == together[i].tokens.tolist()
        assert alone.truncated == together[i].truncated
    wide = np.pad(buffer.padded(buffer.token, PAD), ((0, 0), (0, 5)), constant_values=PAD)
    mask = np.pad(buffer.padded(buffer.mask), ((0, 0), (0, 5)))
    with torch.no_grad():
        found = policy(policy.encode(wide), policy.actions(wide, mask)).log_prob.numpy()
    np.testing.assert_allclose(np.pad(found, ((0, 0), (1, 0)))[mask], buffer.log_prob[buffer.mask], atol=2e-6)


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neo"])
def test_each_token_is_drawn_from_what_the_model_says_of_the_text_before_it(folder, family):
    policy = LanguagePolicy(FAMILIES[family](), value_head=False)
    rng = np.random.default_rng(1)
    prompts = [rng.integers(1, VOCABULARY, n).astype(np.int32) for n in (1, 2, 5, 9)]  # padded together, and cached
    noise = rng.random((4, 8))
    for prompt, luck, found in zip(
        prompts, noise, generate(policy, prompts, noise, 0, settings(folder).language), strict=True
    ):
        text = torch.as_tensor(np.concatenate([prompt, found.tokens]).astype(np.int64))
        with torch.no_grad():
            said = policy.model(text[None], use_cache=False).logits[0, len(prompt) - 1 : -1].softmax(-1)
        assert draw_tokens(said, torch.as_tensor(luck[: len(found.tokens)])).tolist() == found.tokens.tolist()


def test_tokens_are_drawn_from_the_distribution():
    probabilities = torch.tensor([[0.2, 0.5, 0.3]])
    found = [
        int(draw_tokens(probabilities, torch.tensor([u], dtype=torch.float64)))
        for u in (0, 0.1, 0.21, 0.69, 0.71, 1 - 1e-16)
    ]
    assert found == [0, 0, 1, 1, 2, 2]
    uniform = torch.as_tensor(np.random.default_rng(0).random(20_000))
    counts = np.bincount(draw_tokens(probabilities.expand(20_000, 3), uniform).numpy()) / 20_000
    np.testing.assert_allclose(counts, [0.2, 0.5, 0.3], atol=0.012)


def test_a_filter_leaves_records_out_of_the_update_and_says_why(folder, tmp_path):
    config, language = settings(folder)

    def lowest(snapshot):
        return Filtered(np.argsort(snapshot.buffer.reward)[:4], "the four lowest rewards")

    for _ in rounds_with(lowest, LanguageSettings(language, config), tmp_path / "run"):
        pass
    run = open_run(tmp_path / "run")
    snapshot = run.snapshot(0)
    assert (snapshot.metrics["dropped"], snapshot.metrics["filter"]) == (4, "the four lowest rewards")
    assert snapshot.buffer.reward[~snapshot.buffer.kept].max() <= snapshot.buffer.reward[snapshot.buffer.kept].min()
    for name, tensor in engine.replay(snapshot).checkpoint.items():
        assert run.checkpoint(1)[name].tobytes() == tensor.tobytes()


def test_training_raises_the_reward(folder, tmp_path):
    config, language = settings(
        folder, rounds=8, n_steps=64, batch_size=32, n_epochs=4, learning_rate=1e-2, kl_coef=0.0
    )
    returns = [
        s.metrics["mean_return"]
        for s in engine.rounds(LanguageSettings(language, config), tmp_path / "run", reward_model=Counted())
    ]
    assert returns[-1] > returns[0] + 1


def test_a_run_can_be_read_without_the_models_that_it_began_with(folder, tmp_path):
    language_folder = tmp_path / "models"
    write_models(language_folder)
    run = record_language(language_folder)
    shutil.move(run.path, tmp_path / "elsewhere")
    shutil.rmtree(language_folder)
    moved = open_run(tmp_path / "elsewhere")
    final = engine.replay(moved.snapshot(1)).checkpoint
    assert (
        moved.checkpoint(2)["parameter/value_head.weight"].tobytes() == final["parameter/value_head.weight"].tobytes()
    )
    (tmp_path / "elsewhere" / "model" / "config.json").write_text("{}")
    with pytest.raises(DamagedRunError, match=r"model/config.json is damaged"):
        moved.model_files()


def test_bad_input_ends_in_one_line_and_writes_nothing(folder, tmp_path):
    config, language = settings(folder)
    (tmp_path / "empty.txt").write_text("\n  \n")
    (tmp_path / "long.txt").write_text("\n".join(["the " * n for n in (CONTEXT - 5, 2, 3)]))
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    other = tmp_path / "other"
    shutil.copytree(folder / "policy", other)
    model = json.loads((other / "tokenizer.json").read_text())
    model["model"]["vocab"] |= {f"word{i}": 16 + i for i in range(5)}
    (other / "tokenizer.json").write_text(json.dumps(model))
    for changes, message in (
        ({"policy": str(tmp_path / "nowhere")}, r"there is no folder .*nowhere, so no causal language model"),
        (
            {"policy": "no-such/model"},
            r"no-such/model is no folder here, was not downloaded before, and nothing is downloaded without --download",
        ),
        (
            {"policy": str(tmp_path)},
            r"can't be loaded as a causal language model \(.*\); name a folder that save_pretrained",
        ),
        ({"reward": str(tmp_path / "nowhere")}, r"there is no folder .*nowhere, so no reward model"),
        (
            {"reward_label": "toxic"},
            r"knows the labels rude, kind, and 'toxic' is none of them; name one with --reward-label",
        ),
        ({"reward_label": ""}, r"knows the labels rude, kind, and none is chosen"),
        ({"policy": str(other)}, r"has 21 tokens, but the model knows 16: they don't belong together"),
        ({"prompts": str(tmp_path / "empty.txt")}, r"empty.txt has no prompts; write one on each line"),
        ({"prompts": str(tmp_path / "none.txt")}, r"none.txt can't be read \(No such file or directory\)"),
        ({"prompts": str(tmp_path / "bytes.txt")}, r"bytes.txt is not a text file in UTF-8"),
        ({"validation_prompts": 6}, r"has 6 different prompts, and 6 are held out"),
        (
            {"prompts": str(tmp_path / "long.txt"), "validation_prompts": 0},
            r"with 6 new ones it is longer than the 16 that",
        ),
        ({"group_size": 5}, r"n_steps a multiple of group_size \(5\)"),
        ({"flip": 0.2}, r"flip plants faults in the rewards of courtesy alone"),
    ):
        with pytest.raises(BadInputError, match=message) as caught:
            list(engine.rounds(LanguageSettings(replace(language, **changes), config), tmp_path / "run"))
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "run" / "run.json").exists()


def test_rewards_that_are_not_numbers_stop_the_training_and_keep_earlier_rounds(folder, tmp_path):
    config, language = settings(folder)
    rounds = engine.rounds(LanguageSettings(language, config), tmp_path / "run", reward_model=Broken())
    with pytest.raises(BadNumberError, match=r"gave nan for record 1 in round 0; earlier rounds are intact"):
        next(rounds)
