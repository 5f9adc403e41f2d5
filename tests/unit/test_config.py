"""Settings: what is refused, in words; and the way to `run.json` and back."""

import json
from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest

from engine.config import TrainConfig
from engine.errors import BadInputError

GOOD: dict[str, Any] = {"env_id": "CartPole-v1"}


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("rounds", 0, "at least 1"),
        ("n_envs", 0, "from 1 to 32,767"),
        ("n_steps", -5, "at least 1"),
        ("batch_size", 0, "at least 1"),
        ("n_epochs", 0, "from 1 to 10,000"),
        ("seed", -1, "from 0 to"),
        ("learning_rate", 0.0, "above 0"),
        ("learning_rate", float("nan"), "above 0"),
        ("optimizer", "lion", "adam, other, sgd"),
        ("momentum", 1.0, r"in \[0, 1\)"),
        ("gamma", 1.01, r"in \[0, 1\]"),
        ("gae_lambda", -0.1, r"in \[0, 1\]"),
        ("clip_range", 0.0, "above 0"),
        ("max_grad_norm", 0.0, "above 0"),
        ("target_kl", 0.0, "above 0"),
        ("hidden", (64, 0), "at most 32 widths from 1 to 16384"),
    ],
)
def test_out_of_range_names_field_value_and_range(name: str, value: Any, right: str) -> None:
    with pytest.raises(BadInputError, match=f"{name} is .* must be .*{right}"):
        TrainConfig(**GOOD, **{name: value})


def test_a_round_needs_two_records() -> None:
    with pytest.raises(BadInputError, match="at least 2"):
        TrainConfig(**GOOD, n_steps=1)
    assert TrainConfig(**GOOD, n_steps=1, n_envs=2).records_per_round == 2


def test_edges_that_are_allowed() -> None:
    config = TrainConfig(**GOOD, gamma=1.0, gae_lambda=0.0, momentum=0.0, max_grad_norm=float("inf"), hidden=())
    assert config.max_grad_norm == float("inf")


def test_json_there_and_back() -> None:
    config = TrainConfig(**GOOD, max_grad_norm=float("inf"), hidden=(8, 4), target_kl=0.01, optimizer="sgd", seed=7)
    values = config.to_json()
    assert set(values) == {field.name for field in fields(TrainConfig)}
    assert values["max_grad_norm"] is None
    assert TrainConfig.from_json(values) == config
    assert TrainConfig.from_json(TrainConfig(**GOOD).to_json()) == TrainConfig(**GOOD)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, ""),
        ({"filter": "random", "drop": 0.125}, "random 0.125"),
        ({"filter": "iif", "drop": 1, "filter_mode": "mask", "filter_estimator": "tracin"}, "iif 1 mask tracin"),
        ({"filter": "guarded", "filter_estimator": "tracin_adam"}, "guarded 0.5 tracin_adam"),
        ({"filter": "reestimate", "repair": "half_weight"}, "reestimate 0.5 half_weight"),
    ],
)
def test_a_filters_name_says_what_sets_it_apart(settings: dict[str, Any], name: str) -> None:
    assert TrainConfig(**GOOD, **settings).filter_name == name


def test_settings_of_a_run_that_was_made_before_a_field_was_there() -> None:
    values = TrainConfig(**GOOD, filter="iif", drop=0.25).to_json()
    del values["filter_estimator"]
    assert TrainConfig.from_json(values) == TrainConfig(**GOOD, filter="iif", drop=0.25, filter_estimator="first_order")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rat": 1}, "unknown setting 'learning_rat'; the settings are .*learning_rate"),
        ({"n_steps": 12.5}, "n_steps is 12.5"),
        ({"n_steps": True}, "n_steps is True"),
        ({"n_steps": "many"}, "n_steps is 'many'; it must be a whole number of at least 1"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'"),
        ({"target_kl": "low"}, "target_kl|configuration"),
        ({"seed": "x"}, "seed is 'x'; it must be a whole number from 0 to"),
        ({"seed": 2**63}, "seed is 9223372036854775808; it must be a whole number from 0 to"),
        ({"learning_rate": 10**400}, "learning_rate is 1000.*0; it must be a finite number above 0$"),
        ({"hidden": [64, True]}, r"hidden is \[64, True\]; it must be a list of at most 32 widths"),
        ({"path": None}, "path is None; it must be closed_form or torch"),
    ],
)
def test_bad_json_is_refused_in_words(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        TrainConfig.from_json({**GOOD, **values})


def test_the_environment_is_required() -> None:
    with pytest.raises(BadInputError, match=r"^the setting env_id is missing$"):
        TrainConfig.from_json({"rounds": 3})


@pytest.mark.parametrize(
    "values", [{"hidden": 64}, {"hidden": [64.5]}, {"normalize_advantage": "no"}, {"learning_rate": float("inf")}]
)
def test_values_that_would_fail_later(values: dict[str, Any]) -> None:
    with pytest.raises(BadInputError):
        TrainConfig.from_json({**GOOD, **values})


def test_settings_do_not_change_under_ones_hands() -> None:
    config = TrainConfig(**GOOD)
    with pytest.raises(FrozenInstanceError):
        config.rounds = 3  # type: ignore[misc]


def test_values_are_of_their_types_however_they_are_given() -> None:
    given: dict[str, Any] = {"hidden": [8, 4], "seed": np.int64(7), "gamma": np.float32(0.5), "drop": 1}
    config = TrainConfig(**GOOD, **given, max_grad_norm=None)  # type: ignore[arg-type]
    assert config == TrainConfig(**GOOD, hidden=(8, 4), seed=7, gamma=0.5, drop=1.0, max_grad_norm=float("inf"))
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
