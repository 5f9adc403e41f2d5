"""Activation functions among a policy's arguments: a few of torch's by name, and no other function."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
import torch
from torch.nn import functional

from engine.errors import BadInputError
from engine.kinds.recorded.recipe import NotDescribedError, described, made


@pytest.mark.parametrize("function", [torch.relu, torch.tanh, functional.relu, functional.gelu, functional.softplus])
def test_an_activation_function_is_found_again_by_its_name(function: Any) -> None:
    said = json.loads(json.dumps(described({"activation": function, "sizes": [2]})))
    assert made(said)["activation"] is function


def test_a_dict_that_looks_like_a_function_stays_one() -> None:
    for own in ({"function": "torch.relu"}, {"function": ["torch.relu"]}):
        assert made(described({"given": own}))["given"] == own


@pytest.mark.parametrize("function", [torch.load, functional.cross_entropy, len, lambda x: x])
def test_no_other_function_is_described(function: Any) -> None:
    with pytest.raises(NotDescribedError, match="which a recipe can't say"):
        described(function)


@pytest.mark.parametrize(
    "name", ["torch.load", "os.system", "torch.nn.functional.cross_entropy", "antigravity.geohash"]
)
def test_no_other_function_is_made_and_nothing_is_imported(name: str) -> None:
    before = set(sys.modules)
    with pytest.raises(BadInputError, match=r"names the function .* it may be one of torch\.relu, "):
        made({"activation": {"function": name}})
    assert set(sys.modules) == before
