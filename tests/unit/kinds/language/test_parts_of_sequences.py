"""What language runs have of every run: all estimators by term and layer, orders, a fit to replays, sums, other rounds."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command
from numpy.typing import NDArray

import engine
from engine.core.chosen_targets import named_target
from engine.core.estimators.averaged_over_orders import attribute
from engine.core.faithfulness.lds import lds
from engine.core.gradients.layers import layers_of
from engine.core.influence import read_influence
from engine.core.kind import kind_of
from engine.core.replays.many import replays, with_nothing_removed
from engine.core.replays.replay import intervene
from engine.intervention.record_sets import read_sets, save_group, undo
from engine.kinds.language.kind import LanguageKind
from engine.kinds.language.models import restore_policy
from engine.kinds.language.sequences import LanguageSnapshot
from engine.store.read import Run

pytest.importorskip("transformers")
pytestmark = pytest.mark.long
PINS = Path(__file__).parents[3] / "pins" / "data"
PPO_IS_SLOW = pytest.mark.parametrize("run", [pytest.param("ppo", marks=pytest.mark.slow), "grpo"], indirect=True)
"""For tests that take seconds with GRPO, and more with PPO."""
ANALYTIC = ("first_order", "tracin", "tracin_adam", "replay_gradient")


@pytest.fixture(scope="module", params=["ppo", "grpo"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A copy that can be written to."""
    path = tmp_path_factory.mktemp("parts") / request.param
    shutil.copytree(PINS / f"language-v3-{request.param}" / "run", path)
    return engine.open_run(path)


@pytest.fixture(scope="module")
def snapshot(run: Run) -> LanguageSnapshot:
    """With an entropy term."""
    found = run.snapshot(1)
    return found.changed(config=replace(found.config, ent_coef=0.05))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit to 40 pairs in the place of 128."""
    monkeypatch.setattr(LanguageKind, "effort", replace(LanguageKind.effort, pairs=40))


def close(found: NDArray[Any], expected: NDArray[Any]) -> None:
    scale = float(np.abs(expected).max())
    assert scale > 0
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5 * scale)


@pytest.mark.parametrize("estimator", ANALYTIC)
def test_terms_layers_and_tokens_add_up(snapshot: LanguageSnapshot, estimator: str) -> None:
    found = engine.influence(snapshot, "sequence", estimator, by_layer=True, cache=False)
    close(np.sum(list(found.terms.values()), axis=0), found.influence)
    close(np.sum(list(found.layers.values()), axis=0), found.influence)
    assert list(found.layers) == list(layers_of(restore_policy(snapshot)))
    assert found.terms["critic"].any() == (snapshot.language.algorithm == "ppo")
    assert found.terms["entropy"].any()
    close(engine.influence(snapshot, "sequence", estimator, cache=False).influence, found.influence)
    if estimator == "replay_gradient":  # weights count sequences, not tokens
        assert found.token_influence is None
        return
    assert found.token_influence is not None
    close(np.bincount(snapshot.buffer.record_of_token, found.token_influence), found.influence)
    assert not found.token_influence[~snapshot.buffer.mask].any()


def test_parts_come_back_from_the_cache(run: Run) -> None:
    snapshot = run.snapshot(1)
    for estimator in ("first_order", "replay_gradient"):
        first = engine.influence(snapshot, "return", estimator, by_layer=True)
        again = read_influence(snapshot, "return", estimator, by_layer=True)
        assert again is not None
        for one, other in ((first.terms, again.terms), (first.layers, again.layers)):
            assert {name: part.tobytes() for name, part in one.items()} == {
                name: part.tobytes() for name, part in other.items()
            }
        tokens = [found.token_influence for found in (first, again)]
        assert tokens[0] is None or np.array_equal(*tokens)


@pytest.mark.parametrize("estimator", ["tracin_adam", "replay_gradient"])
def test_orders_are_averaged(snapshot: LanguageSnapshot, estimator: str) -> None:
    """Sequences, their terms, and their tokens where they are told apart."""
    target = engine.return_target(snapshot)
    found = attribute(snapshot, target, estimator, orders=3)
    each = [attribute(intervene(snapshot, (), order=order), target, estimator) for order in range(3)]
    close(found.influence, np.mean([one.influence for one in each], axis=0))
    close(found.terms["actor"], np.mean([one.terms["actor"] for one in each], axis=0))
    assert np.abs(each[1].influence - each[0].influence).max() > 0.01 * np.abs(found.influence).max()
    if found.tokens is not None:
        close(found.tokens, np.mean([one.tokens for one in each], axis=0))


@pytest.mark.slow
@pytest.mark.parametrize("run", ["ppo"], indirect=True)
def test_replay_regression_is_fitted_to_replays_and_predicts_others(run: Run, few: None) -> None:
    """On halves and in orders that it was not fitted to. GRPO's twelve sequences differ by less than the orders' noise."""
    snapshot = run.snapshot(1)
    target = engine.return_target(snapshot)
    found = engine.influence(snapshot, target, "replay_regression")
    close(np.sum(list(found.terms.values()), axis=0), found.influence)
    assert found.influence.all()
    removed = kind_of(snapshot).random_removals(snapshot, 0.5, 24, seed=99)
    (outcomes,) = replays(snapshot, [target], with_nothing_removed(removed), 2)
    score, low, _ = lds(found.influence, ~removed, outcomes[1:], np.random.default_rng(0))
    assert score > 0.3
    assert low > 0, "better than chance"


@PPO_IS_SLOW
def test_a_fit_leaves_out_what_the_update_went_without(run: Run, few: None) -> None:
    snapshot = kind_of(run.snapshot(1)).removed(run.snapshot(1), [4])
    found = engine.influence(snapshot, "return", "replay_regression", cache=False)
    assert found.influence[4] == 0
    assert np.count_nonzero(found.influence) == len(found.influence) - 1


def test_the_return_target_over_another_round(run: Run) -> None:
    snapshot, other = run.snapshot(1), run.snapshot(0)
    named = engine.TargetName(target="return", of_round=0)
    found = engine.influence(snapshot, named_target(snapshot, named), cache=False)
    over = engine.influence(snapshot, engine.return_target(snapshot, other.buffer), cache=False)
    assert found.influence.tobytes() == over.influence.tobytes()
    own = engine.influence(snapshot, "return", cache=False).influence
    assert np.abs(found.influence - own).max() > 0.01 * np.abs(own).max()


@PPO_IS_SLOW
@pytest.mark.parametrize("estimator", ["tracin_adam", pytest.param("replay_gradient", marks=pytest.mark.slow)])
def test_influence_by_layer_by_prompt_over_orders_as_a_command(run: Run, command: Command, estimator: str) -> None:
    options = (
        "--by-layer",
        "--by-episode",
        "--orders",
        4,
        "--estimator",
        estimator,
        "--of-round",
        0,
        "--target",
        "return",
    )
    outcome = command("influence", run.path, "--round", 1, *options, "--json")
    assert outcome.code == 0, outcome.err
    said = outcome.json
    group = run.snapshot(1).buffer.group
    assert (said["orders"], said["estimator"], said["of_round"]) == (4, estimator, 0)
    assert [row["prompt"] for row in said["prompts"]] == np.unique(group).tolist()
    close(
        np.array([row["influence"] for row in said["prompts"]]),
        np.bincount(group, said["influence"])[np.unique(group)],
    )
    close(np.sum(list(said["layers"].values()), axis=0), np.array(said["influence"]))
    printed = command("influence", run.path, "--round", 1, *options).out
    assert "return target over round 0's buffer" in printed
    assert "mean of 4 minibatch orders" in printed
    assert "by layer" in printed
    assert "by prompt" in printed


def test_named_groups_of_sequences_are_kept_and_replayed_without(run: Run) -> None:
    worst = engine.influence(run.snapshot(1)).bottom(2).tolist()
    save_group(run, 1, "the worst", worst)
    group = read_sets(run, 1).groups["the worst"]
    assert sorted(group) == sorted(worst)
    replayed = engine.replay(run.snapshot(1), drop=list(group))
    assert np.flatnonzero(~replayed.snapshot.buffer.kept).tolist() == sorted(worst)
    undo(run, 1)
    assert "the worst" not in read_sets(run, 1).groups
