"""Rewards by a classifier: one label's logit, the same beside whatever other texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from languages import CONTEXT, write_models

from engine.errors import BadInputError, BadNumberError
from engine.kinds.language import rewards
from engine.kinds.language.rewards import Classifier, check_rewards, label_number

LABELS = {1: "kind", 0: "rude"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_models(tmp_path_factory.mktemp("models"))[1])


def logit(model: Classifier, text: str) -> float:
    """What the network alone says of one text that is not padded."""
    ids = torch.tensor([model.tokenizer(text)["input_ids"][-CONTEXT:]])
    with torch.no_grad():
        return float(model.model(input_ids=ids).logits[0, 1])


def test_the_reward_is_the_labels_logit_for_prompt_and_response(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of one token and of more than the model can read are read together, and in parts."""
    model = Classifier(source, "kind")
    prompts = ["the cat was", "so", "the", "the old dog was"]
    responses = [" glad and sad .", "", " and" * (CONTEXT + 3), " so so"]
    expected = [logit(model, prompt + response) for prompt, response in zip(prompts, responses, strict=True)]
    assert len(set(expected)) == 4
    for at_once in (64, 3, 1):
        monkeypatch.setattr(rewards, "AT_ONCE", at_once)
        assert model.score(prompts, responses)["reward"] == pytest.approx(expected, abs=1e-5)
    model.tokenizer.padding_side = "left"
    assert model.score(prompts, responses)["reward"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("labels", "label", "number"), [(LABELS, "kind", 1), (LABELS, "rude", 0), ({0: "LABEL_0"}, "", 0)]
)
def test_a_label_is_chosen_by_its_name(labels: dict[int, str], label: str, number: int) -> None:
    assert label_number(labels, label, "model") == number


@pytest.mark.parametrize(("label", "line"), [("nice", "'nice' is none of them"), ("", "none is chosen")])
def test_a_label_that_is_not_there_is_one_line(label: str, line: str) -> None:
    with pytest.raises(BadInputError, match=f"knows the labels rude, kind, and {line}; name one with --reward-label"):
        label_number(LABELS, label, "model")


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([1.0, np.nan, np.inf], "gave nan for record 1"),
        ([1.0, 2.0, -np.inf], "gave -inf for record 2"),
        ([1.0, 2.0], "gave 2 rewards for 3 responses"),
    ],
)
def test_rewards_that_no_training_goes_on_with(values: list[float], line: str) -> None:
    with pytest.raises(BadNumberError, match=line):
        check_rewards({"reward": np.array(values, np.float32)}, 3)


def test_other_values_beside_the_reward_may_be_anything() -> None:
    check_rewards({"reward": np.zeros(3, np.float32), "judge": np.full(3, np.nan, np.float32)}, 3)
