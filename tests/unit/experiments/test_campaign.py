"""Campaigns: what is written, that nothing is done twice, and that it does not matter where or when it was done."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from deadlines import wait_until

import engine
from engine.envs import CATALOGUE, find, preset
from engine.errors import BadInputError, DamagedRunError, EngineError, LockedRunError
from engine.experiments import campaign
from engine.experiments.campaign import finished_tasks, run_campaign, train_and_evaluate
from engine.experiments.findings import evaluation
from engine.experiments.plans import EXPERIMENTS, Arm, Experiment, find_experiments
from engine.experiments.results import SCHEMA, ControlTask, Results, read_campaign
from engine.kinds.control.agents import restore_agent
from engine.kinds.control.evaluation import Evaluator
from engine.kinds.control.exact_return import expected_return, transitions_of
from engine.kinds.control.learner import ControlLearner
from engine.store.files import Files

pytestmark = pytest.mark.long

Listing = Callable[[Path], dict[str, bytes]]

LAKE = EXPERIMENTS["frozenlake"].changed(
    ["ppo", "iif 0.5"], rounds=2, episodes=4, settings={"n_steps": 64, "batch_size": 16}
)
TIMES = ("seconds", "filter_seconds", "evaluation_seconds")
COMMAND = (
    *(sys.executable, "-m", "engine", "reproduce", "frozenlake", "--arms", "ppo", "iif 0.5", "--seeds", "2"),
    *("--rounds", "2", "--episodes", "4", "--set", "n_steps=64", "--set", "batch_size=16"),
)


def numbers(folder: Path) -> dict[str, list[Any]]:
    """Every column that does not measure time."""
    return read_campaign(folder).experiments["frozenlake"].table.drop_columns(list(TIMES)).to_pydict()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished campaign of four tasks; tests don't write to it."""
    folder = tmp_path_factory.mktemp("campaigns") / "done"
    run_campaign([LAKE], range(2), folder, command="python -m engine reproduce ...")
    return folder


def test_a_task_trains_as_engine_train_does_and_evaluates_on_the_common_seeds(tmp_path: Path) -> None:
    arm = LAKE.arm("iif 0.5")
    rows = train_and_evaluate(ControlTask(LAKE, arm, 1)).to_pylist()
    config = LAKE.config(arm, 1)
    run = engine.train(config, tmp_path / "run")
    assert [row["train_return"] for row in rows] == [info.metrics["mean_return"] for info in run.rounds]
    assert [row["dropped"] for row in rows] == [info.metrics["dropped"] for info in run.rounds]
    spaces = run.manifest.observation_space, run.manifest.action_space
    agent = restore_agent(config, *spaces, run.checkpoint(2))
    returns = Evaluator(find("FrozenLake-v1")).returns(agent, range(10**6, 10**6 + 4))
    assert (rows[-1]["test_return"], rows[-1]["test_std"]) == (returns.mean(), returns.std())


def test_a_policy_is_evaluated_on_what_it_saw_in_training() -> None:
    pole = replace(
        LAKE, env_id="CartPole-v1", preset="default", settings={"n_steps": 256, "normalize_observation": True}
    )
    rows = train_and_evaluate(ControlTask(pole, pole.arm("ppo"), 0)).to_pylist()
    learner = ControlLearner.begin(pole.config(pole.arm("ppo"), 0))
    for row in rows:
        learner.update(learner.collect())
        seen = Evaluator(find("CartPole-v1"), learner.normalizer).returns(learner.agent, pole.evaluation_seeds)
        raw = Evaluator(find("CartPole-v1")).returns(learner.agent, pole.evaluation_seeds)
        assert row["test_return"] == seen.mean() != raw.mean()


def test_an_exact_evaluation_plays_nothing_and_episodes_that_are_named_are_played() -> None:
    exact = EXPERIMENTS["frozenlake"].changed(["ppo"], 2, settings=LAKE.settings)
    assert (exact.exact, LAKE.exact) == (True, False)
    rows = train_and_evaluate(ControlTask(exact, exact.arm("ppo"), 1)).to_pylist()
    learner = ControlLearner.begin(exact.config(exact.arm("ppo"), 1))
    for row in rows:
        learner.update(learner.collect())
        assert row["test_return"] == expected_return(transitions_of(find("FrozenLake-v1")), learner.agent)
        assert (row["test_std"], row["test_episodes"]) == (0, 0)
    with pytest.raises(BadInputError, match="Acrobot-v1 has no table of transitions"):
        run_campaign([replace(EXPERIMENTS["acrobot"], exact=True)], range(1), "nowhere")


def test_a_reseeded_arm_has_the_luck_of_its_first_round_in_every_round() -> None:
    """Without learning all its rounds are equal; the plain arm's are not, and both begin alike."""
    still = LAKE.changed(["ppo", "ppo reseeded"], 3, settings={**LAKE.settings, "learning_rate": 1e-12})
    assert [(arm.name, arm.reseeded) for arm in still.arms] == [("ppo", False), ("ppo reseeded", True)]
    plain, reseeded = (
        [row["explained_variance"] for row in train_and_evaluate(ControlTask(still, arm, 0)).to_pylist()]
        for arm in still.arms
    )
    assert plain[0] == reseeded[0]
    assert reseeded == pytest.approx([reseeded[0]] * 3)
    assert plain[1] != pytest.approx(plain[0])
    assert LAKE.arm("IIF 0.5 Reseeded").settings == LAKE.arm("iif 0.5").settings


def test_the_standard_error_of_an_evaluation(done: Path) -> None:
    results = read_campaign(done).experiments["frozenlake"]
    errors = [std**2 / 3 for std in results.table["test_std"].to_pylist()]
    assert results.evaluation_error == pytest.approx(np.sqrt(np.mean(errors)))
    assert evaluation(results) == f"4 stochastic episodes, standard error of their mean {results.evaluation_error:.2g}"


def test_one_row_a_round_and_nothing_else_is_left(done: Path) -> None:
    results = read_campaign(done).experiments["frozenlake"]
    assert sorted(path.name for path in (done / "frozenlake").rglob("*")) == [
        "campaign.json",
        "lock",
        "results.parquet",
        "tasks",
    ]
    assert results.table.schema.equals(SCHEMA)
    rows = results.table.to_pylist()
    assert [(r["arm"], r["seed"], r["round"]) for r in rows] == [
        (arm, seed, round) for arm in ("ppo", "iif 0.5") for seed in (0, 1) for round in (1, 2)
    ]
    for row in rows:
        assert (row["experiment"], row["test_episodes"], row["records"]) == ("frozenlake", 4, 64)
        assert row["steps_trained"] == 64 * row["round"]
        assert 0 <= row["test_return"] <= 1
        assert 0 < row["filter_seconds"] + 1e-9 < row["seconds"]
        assert (row["dropped"] > 0) == (row["arm"] == "iif 0.5")
    assert results.complete
    assert results.finished == {"ppo": [0, 1], "iif 0.5": [0, 1]}
    assert results.curves("ppo").shape == (2, 2)
    assert pq.read_table(done / "frozenlake" / "results.parquet").num_rows == 8


def test_the_definition_says_how_it_was_made(done: Path) -> None:
    about = json.loads((done / "frozenlake" / "campaign.json").read_text())
    assert about["seeds"] == {"ppo": [0, 1], "iif 0.5": [0, 1]}
    assert (about["config"]["n_steps"], about["config"]["learning_rate"], about["config"]["filter"]) == (
        64,
        5e-3,
        "none",
    )
    filters = {"name": "iif 0.5", "settings": {"filter": "iif", "drop": 0.5}, "reseeded": False}
    assert about["experiment"]["arms"][1] == filters
    assert about["made"][0]["command"] == "python -m engine reproduce ..."
    assert about["made"][0]["fingerprint"]["numpy"] == np.__version__


def test_a_finished_campaign_is_not_touched_again(
    done: Path, listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = listing(done)
    monkeypatch.setattr(campaign, "train_and_evaluate", lambda task: pytest.fail(f"{task} was done again"))
    run_campaign([LAKE], range(2), done)
    run_campaign([LAKE.changed(["ppo"])], range(1), done)
    assert listing(done) == before
    assert finished_tasks([LAKE], range(3), done) == (4, 6)


def test_an_interrupted_campaign_goes_on_as_if_nothing_had_happened(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def third_is_interrupted(task: ControlTask) -> Any:
        if task.seed == 1:
            raise KeyboardInterrupt
        return train_and_evaluate(task)

    monkeypatch.setattr(campaign, "train_and_evaluate", third_is_interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_campaign([LAKE], range(2), tmp_path)
    tasks = tmp_path / "frozenlake" / "tasks"
    assert sorted(path.name for path in tasks.iterdir()) == ["iif_0.5-0.parquet", "ppo-0.parquet"]
    kept = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in tasks.iterdir()}
    half = read_campaign(tmp_path).experiments["frozenlake"]
    assert not half.complete
    assert half.finished == {"ppo": [0], "iif 0.5": [0]}
    assert half.curves("iif 0.5").shape == (1, 2)

    ran: list[str] = []

    def noted(task: ControlTask) -> Any:
        ran.append(str(task))
        assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in kept} == kept
        return train_and_evaluate(task)

    monkeypatch.setattr(campaign, "train_and_evaluate", noted)
    run_campaign([LAKE], range(2), tmp_path)
    assert ran == ["frozenlake, ppo, seed 1", "frozenlake, iif 0.5, seed 1"]
    assert numbers(tmp_path) == numbers(done)
    assert list(tasks.iterdir()) == []


def send_after(sent: signal.Signals, tasks: int, folder: Path, *more: str) -> tuple[int, str]:
    """Run the real command with one worker, send it a signal once so many tasks are there; exit code and stderr."""
    process = subprocess.Popen(
        [*COMMAND, *more, "--out", folder, "--workers", "1"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    wait_until(lambda: len(list(folder.glob("frozenlake/tasks/[!.]*"))) >= tasks, every=0.005)
    process.send_signal(sent)
    return process.wait(120), process.communicate()[1]


@pytest.mark.slow
def test_killed_again_and_again_and_in_processes_the_numbers_are_the_same(done: Path, tmp_path: Path) -> None:
    """The real command: SIGKILL after the first task, again after the second, then to its end."""
    for tasks in (1, 2):
        send_after(signal.SIGKILL, tasks, tmp_path)
    found = subprocess.run([*COMMAND, "--out", tmp_path, "--workers", "2"], check=True, capture_output=True, text=True)
    assert "report" in found.stdout
    assert numbers(tmp_path) == numbers(done)


@pytest.mark.slow
def test_ctrl_c_ends_in_one_line(tmp_path: Path) -> None:
    """With so many seeds that it is never done before the signal comes; also where a script started it in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code, err = send_after(signal.SIGINT, 2, tmp_path, "--seeds", "200")
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 130, err
    last = err.splitlines()[-1]
    assert last.startswith("error: stopped; ")
    assert last.endswith(f" of 400 tasks are finished in {tmp_path}; continue with the same command")


def test_arms_and_seeds_can_be_added(done: Path, tmp_path: Path) -> None:
    run_campaign([LAKE.changed(["ppo"])], range(1), tmp_path)
    run_campaign([EXPERIMENTS["frozenlake"].changed(["iif 0.5"], 2, 4, LAKE.settings)], range(2), tmp_path)
    results = Results.read(tmp_path / "frozenlake")
    assert results is not None
    assert results.seeds == {"ppo": [0], "iif 0.5": [0, 1]}
    assert results.complete
    assert len(results.made) == 2
    run_campaign([LAKE], range(2), tmp_path)
    assert numbers(tmp_path) == numbers(done)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (LAKE.changed(rounds=3), "rounds=2, not 3"),
        (LAKE.changed(episodes=5), "episodes=4, not 5"),
        (replace(LAKE, evaluate_every=2), "evaluate_every=1, not 2"),
        (replace(LAKE, exact=True), "exact=False, not True"),
        (LAKE.changed(rounds=2, preset="v0.1"), "max_grad_norm=inf, not 0.5"),
        (LAKE.changed(settings={"gamma": 0.9}), "gamma=0.99, not 0.9"),
        (replace(LAKE, arms=(Arm("ppo"), Arm("iif 0.5", {"filter": "iif", "drop": 0.4}))), "arm 'iif 0.5'"),
    ],
)
def test_other_settings_are_refused_and_nothing_is_written(
    done: Path, listing: Listing, other: Experiment, words: str
) -> None:
    before = listing(done)
    with pytest.raises(BadInputError, match=words):
        run_campaign([other], range(2), done)
    assert listing(done) == before


@pytest.mark.parametrize(
    ("experiment", "seeds", "words"),
    [
        (LAKE, range(0), "no seeds"),
        (replace(LAKE, env_id="FrozenLake-v9"), range(1), "unknown environment"),
        (LAKE.changed(settings={"gama": 1}), range(1), "unknown setting 'gama'"),
        (LAKE.changed(settings={"gamma": 2}), range(1), "gamma is 2"),
    ],
)
def test_bad_input_writes_nothing(tmp_path: Path, experiment: Experiment, seeds: range, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        run_campaign([experiment], seeds, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failed_task_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    """96 records, minibatches of 40: the filter may drop 16 of them, and wants more."""
    settings = {"n_steps": 96, "batch_size": 40}
    strict = replace(EXPERIMENTS["frozenlake"].changed(["ppo", "iif 1"], 1, 2), settings=settings)
    with pytest.raises(EngineError, match=r"^frozenlake, iif 1, seed 0: the filter would keep"):
        run_campaign([strict], range(1), tmp_path)
    results = Results.read(tmp_path / "frozenlake")
    assert results is not None
    assert results.finished == {"ppo": [0], "iif 1": []}


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "frozenlake").mkdir()
    held = Files().lock(tmp_path / "frozenlake" / "lock")
    with pytest.raises(LockedRunError, match="being written by another process"):
        run_campaign([LAKE], range(1), tmp_path)
    Files().unlock(held)


def test_a_merge_that_was_cut_short_counts_no_task_twice(done: Path, tmp_path: Path) -> None:
    run_campaign([LAKE.changed(["ppo"])], range(2), tmp_path)
    folder = tmp_path / "frozenlake"
    merged = (folder / "results.parquet").read_bytes()
    (folder / "tasks" / "ppo-0.parquet").write_bytes(merged)
    results = Results.read(folder)
    assert results is not None
    assert results.table.num_rows == 4
    results.merge(folder)
    assert list((folder / "tasks").iterdir()) == []


def test_damage_is_named(done: Path, tmp_path: Path) -> None:
    run_campaign([LAKE.changed(["ppo"])], range(1), tmp_path)
    path = tmp_path / "frozenlake" / "results.parquet"
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedRunError, match=r"results\.parquet"):
        Results.read(tmp_path / "frozenlake")
    assert "results.parquet" in read_campaign(tmp_path).damaged["frozenlake"]
    (tmp_path / "frozenlake" / "campaign.json").write_text("{}")
    assert "campaign.json" in read_campaign(tmp_path).damaged["frozenlake"]
    with pytest.raises(BadInputError, match="holds no campaign"):
        read_campaign(tmp_path / "frozenlake")


def test_rounds_between_evaluations_have_none() -> None:
    sparse = replace(LAKE.changed(rounds=5), evaluate_every=2)
    rows = train_and_evaluate(ControlTask(sparse, sparse.arm("ppo"), 0)).to_pylist()
    assert [row["test_episodes"] for row in rows] == [0, 4, 0, 4, 4]
    assert [row["test_return"] is None for row in rows] == [True, False, True, False, False]


def test_experiments_go_by_name_and_by_environment() -> None:
    assert [e.name for e in find_experiments(["Acrobot-V1", "frozenlake", "acrobot"])] == ["acrobot", "frozenlake"]
    assert [e.name for e in find_experiments(["all"])] == [*EXPERIMENTS][:6]
    assert [e.name for e in find_experiments(["highway-fast-v0", "highway-v0"])] == ["highway-fast", "highway"]
    with pytest.raises(BadInputError, match="unknown experiment 'lake'; there are frozenlake, acrobot"):
        find_experiments(["lake"])
    with pytest.raises(BadInputError, match=r"frozenlake has no arm 'iif 0\.3'; it has ppo, iif 0\.0625"):
        EXPERIMENTS["frozenlake"].changed(["iif 0.3"])


def test_the_papers_experiments_are_complete() -> None:
    papers = [e for e in EXPERIMENTS.values() if e.preset == "paper"]
    assert {e.env_id: e.rounds for e in papers} == {
        name: preset(name, "paper").rounds for name, entry in CATALOGUE.items() if "paper" in entry.presets
    }
    assert {e.name for e in papers if e.exact} == {"frozenlake"}
    assert {e.name for e in papers if e.exact or (e.episodes, e.evaluate_every) == (100, 1)} == {
        *("frozenlake", "acrobot", "minigrid", "lunarlander"),
    }
    for experiment in EXPERIMENTS.values():
        usual = {"ppo", "iif 0.0625", "iif 0.5", "guarded 0.5", "guarded 1", "guarded 0.5 tracin_adam", "random"}
        assert usual <= {arm.name for arm in experiment.arms}
        for arm in experiment.arms:
            if arm.settings and arm.name not in {"random", "advantage", "td_error"}:
                assert experiment.config(arm, 0).filter_name == arm.name
        assert experiment == Experiment.from_json(json.loads(json.dumps(experiment.to_json())))


def test_an_experiment_of_version_0_1_keeps_its_command() -> None:
    old = EXPERIMENTS["minigrid"].changed(preset="v0.1", episodes=20, evaluate_every=5)
    assert (old.rounds, old.config(old.arm("ppo"), 0).max_grad_norm) == (30, 0.5)
    assert Experiment.from_json({**old.to_json(), "paper": {"se_ave": 65.8}}) == old, "which kept the paper's figures"
