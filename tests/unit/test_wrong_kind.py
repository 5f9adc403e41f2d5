"""What is asked of a run of the wrong kind, or of a round without minibatches, is refused in one line of words."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from commands import Command

import engine
from engine.analysis import (
    behaviour,
    embedding,
    films,
    formation,
    places,
    policy_difference,
    rendering,
    restoring,
    rollout_advantages,
)
from engine.core.targets.question import TargetName
from engine.envs.toy_text import lake
from engine.errors import BadInputError
from engine.intervention.plan import Intervention
from engine.jobs.interventions import create_job
from engine.kinds.control.fields import record_fields
from engine.kinds.language.presets import LanguageSettings
from engine.store.commit import RunWriter
from engine.store.read import Run

pytest.importorskip("transformers")
PINS = Path(__file__).parents[1] / "pins" / "data"


class Runs(NamedTuple):
    """A control task's run and a language model's, to be written to."""

    control: Run
    language: Run
    folder: Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("kinds")
    for name in ("control-v2-guarded", "language-v3-ppo"):
        shutil.copytree(PINS / name / "run", folder / name)
    return Runs(*(engine.open_run(folder / name) for name in ("control-v2-guarded", "language-v3-ppo")), folder)


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(BadInputError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    return line


CONTROL_ONLY: dict[str, Callable[[Runs], Any]] = {
    "behaviour": lambda runs: engine.behaviour(runs.language, state_and_action(runs)),
    "policy curve": lambda runs: behaviour.policy_curve(runs.language, state_and_action(runs)),
    "influence by action": lambda runs: behaviour.influence_by_action(runs.language),
    "formation": lambda runs: formation.formation(runs.language, state_and_action(runs)),
    "film": lambda runs: films.film(runs.language, 1, 0),
    "shared states": lambda runs: policy_difference.shared_states(a_round(runs)),
    "rollouts": lambda runs: rollout_advantages.monte_carlo(a_round(runs), [1, 2], executor="inline"),
    "states": lambda runs: restoring.points(a_round(runs)),
    "pictures": lambda runs: rendering.render(a_round(runs), 1),
    "fields": lambda runs: record_fields(a_round(runs)),
    "places": lambda runs: places.places(a_round(runs), lake(columns=4)),
    "embedding": lambda runs: embedding.policy_features(a_round(runs)),
}


def a_round(runs: Runs) -> Any:
    return runs.language.snapshot(1)


def state_and_action(runs: Runs) -> Any:
    return engine.action_target(runs.control.snapshot(1), record=3)


def a_span(runs: Runs) -> Any:
    return engine.action_target(runs.language.snapshot(1), record=3)


@pytest.mark.parametrize("call", CONTROL_ONLY.values(), ids=CONTROL_ONLY)
def test_states_and_environments_are_for_control_tasks(runs: Runs, call: Callable[[Runs], Any]) -> None:
    assert "is of a run of the kind language; only control tasks have the states" in refusal(lambda: call(runs))


def test_policies_of_other_kinds_are_not_compared_in_states(runs: Runs) -> None:
    for pair in ((runs.control, runs.language), (runs.language, runs.language)):
        assert "language-v3-ppo is a run of the kind language" in str(policy_difference.comparable(*pair))
    assert policy_difference.comparable(runs.control, runs.control) is None


@pytest.mark.parametrize("estimator", ["first_order", "tracin", "replay_gradient"])
def test_a_target_of_another_kind_is_refused(runs: Runs, estimator: str) -> None:
    pairs, span = state_and_action(runs), a_span(runs)
    of_language = refusal(lambda: engine.influence(a_round(runs), pairs, estimator))
    assert "is of a run of the kind control, and round 1 of one of the kind language" in of_language
    of_control = refusal(lambda: engine.influence(runs.control.snapshot(1), span, estimator))
    assert "is of a run of the kind language, and round 1 of one of the kind control" in of_control


def test_other_doors_refuse_such_a_target(runs: Runs) -> None:
    pairs, span, few = state_and_action(runs), a_span(runs), {"subsets": 3, "orders": 1, "executor": "inline"}
    control, language = runs.control.snapshot(1), a_round(runs)
    made_by_hand = engine.ActionTarget(control.buffer.observation[:1], control.buffer.action[:1])
    for call, words in (
        (lambda: engine.influence(language, made_by_hand), "is over states and actions, and round 1 has sequences"),
        (lambda: engine.validate(language, pairs, **few), "of a run of the kind control"),
        (lambda: engine.validate(control, span, **few), "of a run of the kind language"),
        (lambda: engine.influence_on_each(language, pairs), "of a run of the kind control"),
        (lambda: engine.influence_on_each(language, span), "is not made of single states and actions"),
        (lambda: engine.influence_on_each(control, span), "of a run of the kind language"),
        (lambda: engine.behaviour(runs.control, span), "of a run of the kind language"),
        (lambda: engine.return_target(language, control.buffer), "has no sequences; take the buffer of"),
        (lambda: engine.return_target(control, language.buffer), "has no observations; take the buffer of"),
        (lambda: engine.action_target(language, observation=3), "observations and actions are not for language models"),
        (lambda: engine.action_target(language, record=1, action=3), "their action target takes --record and --tokens"),
        (lambda: engine.action_target(control, record=1, tokens=(1, 2)), "tokens belong to the responses"),
        (lambda: engine.influence(control, "sequence"), "unknown target 'sequence'; it must be return or action"),
    ):
        assert words in refusal(call)


def test_a_round_of_one_kind_is_not_written_into_a_run_of_the_other(runs: Runs, tmp_path: Path) -> None:
    for into, snapshot in ((runs.language, runs.control.snapshot(1)), (runs.control, a_round(runs))):
        model = into.model_files() if into.manifest.language else {}
        with RunWriter.create(tmp_path / into.kind, into.manifest, model=model) as writer:
            said = refusal(lambda writer=writer, snapshot=snapshot: writer.commit_round(snapshot, {}))
        assert said == f"this is a run of the kind {into.kind}, and the round one of the kind {snapshot.kind}"


def test_settings_of_another_kind_do_not_continue_a_run(runs: Runs) -> None:
    own = LanguageSettings(runs.language.manifest.language, runs.language.config)  # type: ignore[arg-type]
    for run, settings in ((runs.language, runs.control.config), (runs.control, own)):
        said = refusal(lambda run=run, settings=settings: engine.train(settings, run.path, resume=True))
        assert f"{run.name} is a run of the kind {run.kind}, and these are settings of the kind {settings.kind}" in said


def test_what_is_no_settings_is_not_trained(runs: Runs, tmp_path: Path) -> None:
    for settings in (runs.language.manifest.language, {"rounds": 3}, "CartPole-v1"):
        said = refusal(lambda settings=settings: engine.train(settings, tmp_path / "run"))
        assert f"a {type(settings).__name__} is not the settings of a run; engine.preset" in said
    assert not (tmp_path / "run").exists()


def test_what_a_kind_has_no_use_for_is_not_taken(runs: Runs, tmp_path: Path) -> None:
    config = engine.preset("FrozenLake-v1", "v0.1", rounds=1, n_steps=64)
    for call, words in (
        (
            lambda: engine.train(config, tmp_path / "run", reward_model=object()),
            "a run of the kind control has no use for reward_model",
        ),
        (
            lambda: engine.retrain(runs.control, 1, [1], tmp_path / "run", reward_model=object()),
            "no use for reward_model",
        ),
        (
            lambda: engine.retrain(runs.language, 1, [1], tmp_path / "run", judge=object()),
            "what can be given is reward_model",
        ),
    ):
        assert words in refusal(call)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("influence", ("--obs", "3"), "observations and actions are not for language models"),
        (
            "influence",
            ("--target", "action", "--record", "1", "--action", "3"),
            "--action is not for a run of the kind language",
        ),
        ("validate", ("--obs", "3"), "observations and actions are not for language models"),
    ],
)
def test_commands_refuse_options_of_another_kind(
    runs: Runs, command: Command, name: str, arguments: tuple[str, ...], words: str
) -> None:
    one_line(command(name, runs.language.path, "--round", 1, *arguments), words)


def test_commands_for_control_tasks_refuse_a_language_run(runs: Runs, command: Command) -> None:
    for name, arguments in (("behaviour", ("--record", "1:3")), ("behaviour", ("--obs", "3", "--action", "1"))):
        one_line(command(name, runs.language.path, *arguments), "only control tasks have the states")


def one_line(outcome: Any, words: str) -> None:
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err
    said = [line for line in outcome.err.splitlines() if not line.startswith("note: ")]
    assert len(said) == 1


# A round without minibatches, such as another trainer leaves.


@pytest.fixture(scope="module", params=["ppo", "grpo"])
def bare(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    source, out = (
        engine.open_run(PINS / f"language-v3-{request.param}" / "run"),
        tmp_path_factory.mktemp("bare") / "run",
    )
    snapshot = source.snapshot(0)
    none = np.zeros((0, len(snapshot.buffer)), np.int32)
    with RunWriter.create(out, source.manifest, model=source.model_files()) as writer:
        writer.commit_round(snapshot.changed(minibatches=none), snapshot.metrics)
    return engine.open_run(out)


WITHOUT = "round 0 was recorded without its minibatches"


def test_a_round_without_minibatches_is_not_replayed(bare: Run, tmp_path: Path) -> None:
    snapshot, few = bare.snapshot(0), {"subsets": 3, "orders": 1, "executor": "inline"}
    plan = Intervention(round=0, removed=(1, 2), orders=2, episodes=4, measured=TargetName(target="sequence"))
    calls: list[Callable[[], Any]] = [
        lambda: engine.replay(snapshot),
        lambda: engine.replay(snapshot, drop=[1], mode="rebatch"),
        lambda: engine.replay(snapshot, order=2),
        lambda: engine.retrain(bare, 0, [1, 2], tmp_path / "branch"),
        lambda: engine.validate(snapshot, **few),
        lambda: engine.influence(snapshot, orders=2),
        lambda: create_job(bare, snapshot, plan, {}),
    ]
    for estimator in ("tracin", "tracin_adam", "replay_gradient", "replay_regression"):
        calls.append(lambda estimator=estimator: engine.influence(snapshot, "return", estimator))
        calls.append(lambda estimator=estimator: engine.validate(snapshot, "return", [estimator], **few))
    for call in calls:
        assert WITHOUT in refusal(call)
    assert not (tmp_path / "branch").exists()
    found = engine.influence(snapshot)
    assert np.count_nonzero(found.influence) > 6, "one inner product needs none"
    assert found.influence.tobytes() == first_order_of_the_whole(bare)


def first_order_of_the_whole(bare: Run) -> bytes:
    """As it was with the minibatches: sequences are not normalised by minibatch."""
    name = "grpo" if bare.manifest.language and bare.manifest.language.algorithm == "grpo" else "ppo"
    whole = engine.open_run(PINS / f"language-v3-{name}" / "run").snapshot(0)
    return engine.influence(whole, cache=False).influence.tobytes()


def test_commands_refuse_a_round_without_minibatches(bare: Run, command: Command, tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("1 2")
    drop = ("--drop-file", tmp_path / "ids", "--orders", 2, "--evaluate", 4)
    for name, arguments in (
        ("influence", ("--estimator", "tracin")),
        ("influence", ("--estimator", "replay_regression")),
        ("influence", ("--orders", 3)),
        ("validate", ("--subsets", 3, "--orders", 1, "--executor", "inline")),
        ("retrain", drop),
        ("retrain", (*drop, "--out", tmp_path / "branch")),
    ):
        one_line(command(name, bare.path, "--round", 0, *arguments), WITHOUT)
    assert "round 0 can't" not in command("influence", bare.path, "--round", 0).err


def test_a_series_skips_it_with_the_reason(bare: Run, command: Command) -> None:
    options = ("--orders", 2, "--evaluate", 4, "--executor", "inline")
    outcome = command("interventions", bare.path, *options)
    assert outcome.code == 2
    assert f"no round of run can be intervened in: {WITHOUT}" in outcome.err
