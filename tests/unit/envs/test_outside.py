"""Environments outside the catalogue: by any id that Gymnasium has, by an imported package, by a function."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from own_worlds import saying, write_package

import engine
from benchmarks.faults.made_up_rounds import write_run
from engine.environment_spec import EnvironmentSpec
from engine.envs import recorded, trainable
from engine.errors import BadInputError, DamagedRunError
from engine.store import open_run
from engine.typed import typed

PACKAGE = "own_worlds_of_outside"


@pytest.fixture(scope="module", autouse=True)
def _own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("own")
    write_package(folder, PACKAGE)
    with saying(imports=[PACKAGE], directory=folder):
        yield


@pytest.fixture
def by_pendulum() -> Iterator[None]:
    with saying(imports=[PACKAGE], make=f"{PACKAGE}:pendulum"):
        yield


@pytest.mark.parametrize(
    ("name", "found"), [("MountainCar-v0", "MountainCar-v0"), ("Taxi", "Taxi-v4"), ("own/Walk-v0", "own/Walk-v0")]
)
def test_any_registered_id_is_known(name: str, found: str) -> None:
    assert trainable(name).spec == EnvironmentSpec(found)
    assert engine.preset(name).env_id == found
    assert engine.preset(name, "default") == engine.preset(name)


def test_the_catalogue_comes_first_and_has_no_specification() -> None:
    assert trainable("FrozenLake").spec is None
    assert trainable("FrozenLake8x8-v1").spec == EnvironmentSpec("FrozenLake8x8-v1", {"map_name": "8x8"})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CartPole-v0", "out of date; did you mean 'CartPole-v1'?"),
        ("MountainCr-v0", "did you mean 'MountainCar-v0'?"),
        ("os:system", "an id has no colon"),
        ("Blackjack-v1", "is not supported; Discrete and Box are"),
        ("Ant-v2", "out of date; did you mean 'Ant-v5'?"),
        ("GymV21Environment-v0", "can't be made"),
    ],
)
def test_what_can_not_be_trained_is_said_in_one_line(name: str, words: str) -> None:
    with pytest.raises(BadInputError) as caught:
        engine.preset(name)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("by_pendulum")
def test_what_make_names_is_trained_under_its_id_and_kept_with_all_that_makes_it() -> None:
    found = trainable("Pendulum-v1")
    assert found.spec == EnvironmentSpec(
        "Pendulum-v1", {"g": 4.0, "max_episode_steps": 25}, ("TransformReward",), f"{PACKAGE}:pendulum"
    )
    assert trainable(f"{PACKAGE}:pendulum") == found
    assert trainable("CartPole-v1").spec is None, "what it does not make is found where it was"


@pytest.mark.parametrize(
    ("function", "words"), [("no_environment", "returns str; it must return an environment"), ("fails", "no screen")]
)
def test_a_function_that_makes_no_environment_is_refused(function: str, words: str) -> None:
    with saying(make=f"{PACKAGE}:{function}"), pytest.raises(BadInputError) as caught:
        trainable("Pendulum-v1")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recorded_environment_is_never_the_catalogues_namesake() -> None:
    (found,) = recorded("FrozenLake-v1", EnvironmentSpec("FrozenLake-v1"))
    assert found.spec == EnvironmentSpec("FrozenLake-v1")
    assert found.make().unwrapped.spec.kwargs == {"map_name": "4x4"}
    assert recorded("FrozenLake-v1", None)[0].options["is_slippery"] is False
    assert recorded("Nowhere-v0", EnvironmentSpec("Nowhere-v0")) == []
    by_factory = EnvironmentSpec("Pendulum-v1", {}, ("TransformReward",), "os:system")
    assert recorded("Pendulum-v1", by_factory) == [], "nothing that a run names is imported"


@pytest.mark.usefixtures("by_pendulum")
def test_without_a_registration_what_make_names_is_tried() -> None:
    (found,) = recorded("Nowhere-v0", EnvironmentSpec("Nowhere-v0"))
    env = found.make()
    assert env.unwrapped.spec.id == "Pendulum-v1"
    env.close()


def test_names_are_the_environments_own_or_counted() -> None:
    observation, action = trainable("own/Arm-v0").spaces()
    assert observation.names[5] == "joint 5"
    assert action.names[0] == "torque 0"
    observation, action = trainable("MountainCar-v0").spaces()
    assert observation.names == ("observation 0", "observation 1")
    assert action.names == ("action 0", "action 1", "action 2")


SPEC = {
    "id": "MountainCar-v0",
    "kwargs": {"goal_velocity": 0.1},
    "wrappers": ["Far"],
    "factory": "",
    "repeats": "always",
}


def test_run_json_keeps_the_specification_from_version_4_on(tmp_path: Path) -> None:
    config = engine.preset("MountainCar-v0", rounds=1, n_steps=16, n_epochs=1)
    manifest = engine.train(config, tmp_path / "run").manifest
    assert (manifest.schema_version, manifest.environment) == (4, EnvironmentSpec("MountainCar-v0"))
    changed = replace(manifest, environment=typed(EnvironmentSpec, SPEC))
    assert type(manifest).from_bytes(changed.to_bytes()) == changed
    assert json.loads(changed.to_bytes())["environment"] == SPEC


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"id": "os:system"}, "without a colon"),
        ({"id": "Acrobot-v1"}, "two environments"),
        ({"kwargs": {"xml_file": "../../x.xml"}}, "at most 40 letters"),
        ({"kwargs": {"desc": ["SF", "FG"]}}, "a number, true or false"),
        ({"kwargs": {"a b": 1}}, "letters, digits and _"),
        ({"kwargs": {"size": 2**62}}, "a number"),
        ({"wrappers": ["os.system"]}, "letters, digits and _"),
        ({"factory": "os.system"}, "package:function"),
        ({"repeats": "maybe"}, "one of always, fresh, never"),
        ({"colour": "red"}, "unknown field"),
    ],
)
def test_a_specification_of_another_form_is_refused_in_one_line(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    run = write_run(tmp_path / "run")
    values = json.loads((run / "run.json").read_bytes())
    spec = {**SPEC, "id": values["env_id"], **changed}
    (run / "run.json").write_text(json.dumps({**values, "schema_version": 4, "environment": spec}))
    with pytest.raises(DamagedRunError, match=r"^run\.json [^\n]*$") as caught:
        open_run(run)
    assert words in str(caught.value)
