"""Data collected anew: every arm trained on with several seeds, paired, and judged over the seeds."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from worlds import record

import engine
from engine.core.evaluation import EVALUATION_SEED
from engine.envs import find
from engine.errors import BadInputError
from engine.intervention.outcome import Outcome
from engine.intervention.plan import Intervention
from engine.intervention.recollect import recorded_arm, summarize, train_arm_on
from engine.jobs.interventions import create_job, intervention_id, read_job
from engine.jobs.work import work
from engine.kinds.control.evaluation import Evaluator
from engine.kinds.control.kind import KIND
from engine.store import read_json
from engine.store.read import Run

DROP = (3, 5, 8, 13, 21)
PLAN = Intervention(round=0, removed=DROP, continue_rounds=2)
SAMPLES = Path(__file__).resolve().parents[3] / "sample_runs"


@pytest.fixture(scope="module")
def told() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="module")
def outcome(cartpole: Run, tmp_path_factory: pytest.TempPathFactory, told: list[tuple[str, int, int]]) -> Outcome:
    return engine.retrain(
        cartpole,
        0,
        DROP,
        tmp_path_factory.mktemp("recollected") / "out",
        orders=2,
        episodes=9,
        continue_rounds=2,
        seeds=3,
        progress=lambda *said: told.append(said),
    )


def test_every_arm_has_a_curve_over_seeds_and_a_verdict(outcome: Outcome) -> None:
    again = outcome["recollected"]
    assert (again["seeds"], again["rounds"]) == (3, [1, 2])
    for arm in ("original", "counterfactual", "control"):
        assert len(again["curves"][arm]) == 2
        for point in again["curves"][arm]:
            assert point["mean"] == pytest.approx(np.mean(point["seeds"]))
            assert point["low"] <= point["mean"] <= point["high"]
        assert again["evaluation"][arm]["mean"] == pytest.approx(np.mean(again["seed_means"][arm]))
        assert again["evaluation"][arm]["episodes"] == 9
    assert again["verdict"] in ("helps", "hurts", "within noise")
    stored = read_json(Path(outcome["run"]) / "result.json").values
    assert stored == json.loads(json.dumps(outcome.to_json(), allow_nan=False))


def test_the_first_seed_goes_on_as_the_run_did(outcome: Outcome, cartpole: Run) -> None:
    again = outcome["recollected"]
    recorded = [info.metrics["mean_return"] for info in cartpole.rounds[1:]]
    assert [point["seeds"][0] for point in again["curves"]["original"]] == recorded
    branch = [info.metrics["mean_return"] for info in engine.open_run(outcome["run"]).rounds[1:]]
    assert [point["seeds"][0] for point in again["curves"]["counterfactual"]] == branch


def test_seeds_differ_and_arms_share_their_luck(cartpole: Run) -> None:
    """With nothing removed an arm is the original, seed by seed; another seed sees other episodes."""
    snapshot = cartpole.snapshot(1)
    plan = Intervention(round=1, removed=DROP, continue_rounds=1)
    first, second, again = (train_arm_on(snapshot, plan, (), seed).returns for seed in (1, 2, 1))
    assert first == again != second
    draws = [KIND.control(snapshot, plan.removed, seed).tolist() for seed in (0, 1)]
    assert draws[0] != draws[1]
    assert len(draws[1]) == len(DROP)


def test_a_recorded_branch_is_the_same_arm(outcome: Outcome, cartpole: Run) -> None:
    trained = train_arm_on(cartpole.snapshot(0), PLAN, DROP, 0)
    read = recorded_arm(engine.open_run(outcome["run"]))
    assert list(trained.returns) == list(read.returns)
    observation = cartpole.snapshot(2).buffer.observation
    noise = trained.player.agent.draw_noise(np.random.default_rng(0), len(observation))
    assert np.array_equal(trained.player.agent.act(observation, noise), read.player.agent.act(observation, noise))


def test_final_policies_play_the_same_episodes(outcome: Outcome, cartpole: Run) -> None:
    """Seed 1 of the counterfactual, played again by hand."""
    policy = train_arm_on(cartpole.snapshot(0), PLAN, DROP, 1).player.agent
    returns = Evaluator(find("CartPole-v1")).returns(policy, EVALUATION_SEED + np.arange(3, 6))
    assert outcome["recollected"]["seed_means"]["counterfactual"][1] == pytest.approx(returns.mean())


def test_normalised_runs_go_on_with_their_statistics(tmp_path: Path) -> None:
    run = record(tmp_path / "run", "Pendulum-v1", rounds=2, n_steps=210, n_epochs=1, normalize_observation=True)
    found = train_arm_on(run.snapshot(0), replace(PLAN, continue_rounds=1), (), 1)
    assert found.player.normalizer is not None
    assert found.player.normalizer.moments["observation"].count > 400


def test_a_clear_difference_is_called_so() -> None:
    """The verdict is over seeds; a round in which no episode ended leaves a gap, and a seed without any leaves no mean."""
    arms = {
        "original": [(1.0, 2.0), (2.0, 3.0)],
        "counterfactual": [(None, 9.0), (8.0, 9.0)],
        "control": [(1.0, 2.0), (2.0, 3.5)],
    }
    returns = {"original": [[1.0, 1.0], [2.0, 2.0]], "counterfactual": [[8.0, 8.0], [9.1, 9.1]]}
    evaluation = {name: np.array(values) for name, values in (returns | {"control": returns["original"]}).items()}
    found = summarize(arms, 0, evaluation)
    assert found["verdict"] == "helps"
    gap = found["curves"]["counterfactual"][0]
    assert (gap["mean"], gap["low"], gap["seeds"]) == (8.0, None, [None, 8.0])
    assert found["training"]["counterfactual"]["mean"] == pytest.approx((9 + 8.5) / 2)
    arms["control"] = [(None, None), (1.0, 1.0)]
    assert summarize(arms, 0, evaluation)["training"] is None


def test_progress_counts_up_to_the_end(outcome: Outcome, told: list[tuple[str, int, int]]) -> None:
    done, total = [d for _, d, _ in told], told[0][2]
    assert done == sorted(done)
    assert 0.9 * total <= done[-1] <= total
    assert any("original, seed 3 of 3, round 2" in doing for doing, *_ in told)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": 0}, "seeds is 0; it must be from 1 to 1,024"),
        ({"seeds": 3}, "no rounds to train on; set continue_rounds"),
        ({"seeds": 9, "continue_rounds": 1, "episodes": 8}, "at least one per seed"),
    ],
)
def test_bad_seeds_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        Intervention(round=0, removed=(1,), **settings)


def test_what_was_stored_before_there_were_seeds_is_read(cartpole: Run, tmp_path: Path) -> None:
    """Its plan has no seeds, and an equal intervention of today has its id."""
    for folder in SAMPLES.glob("*/interventions/*"):
        plan = read_json(folder / "intervention.json").values["plan"]
        today = Intervention.from_json(plan)
        run = engine.open_run(folder.parents[1])
        assert intervention_id(run.snapshot(plan["round"]), today) == folder.name
    shutil.copytree(cartpole.path, tmp_path / "run")
    run = engine.open_run(tmp_path / "run")
    job, _ = create_job(run, run.snapshot(1), Intervention(round=1, removed=DROP, orders=2, episodes=2), {})
    work(job.folder)
    assert "seeds" not in read_json(job.folder / "intervention.json").values["plan"]
    read = read_job(job.folder)
    assert read is not None
    assert asdict(read.plan) == asdict(job.plan)


@pytest.mark.long
def test_other_processes_train_on_the_same_bit_for_bit(outcome: Outcome, cartpole: Run, tmp_path: Path) -> None:
    about = {"orders": 2, "episodes": 9, "continue_rounds": 2, "seeds": 3, "pool": engine.Pool("processes", 2)}
    found = engine.retrain(cartpole, 0, DROP, tmp_path / "out", **about)
    assert {**found, "run": ""} == {**outcome, "run": ""}
