"""Remove, replay, evaluate, branch: from a recorded run to a result and a run that follows from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import same_tensors

import engine
from engine.core.evaluation import EVALUATION_SEED
from engine.core.filtering import bottom_fraction
from engine.core.replays.replay import intervene
from engine.core.targets.question import Question
from engine.errors import BadInputError, CancelledError
from engine.intervention.outcome import Outcome
from engine.store import read_json
from engine.store.read import Run

ARMS = ("original", "counterfactual", "control")
Listing = Callable[[Path], dict[str, bytes]]


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = engine.preset(
        "CartPole-v1", "default", rounds=4, n_steps=128, batch_size=32, n_epochs=4, learning_rate=3e-3
    )
    return engine.train(config, tmp_path_factory.mktemp("retrain") / "parent")


@pytest.fixture(scope="module")
def drop(parent: Run) -> list[int]:
    return bottom_fraction(engine.influence(parent.snapshot(1), cache=False).influence, 0.5).tolist()


@pytest.fixture(scope="module")
def outcome(parent: Run, drop: list[int]) -> Outcome:
    out = parent.path.parent / "without"
    return engine.retrain(parent, 1, drop, out, orders=3, episodes=9, continue_rounds=1)


def test_result_is_what_the_design_promises(outcome: Outcome, parent: Run, drop: list[int]) -> None:
    assert {*ARMS, "verdict", "removed", "run"} <= set(outcome)
    for name in (*ARMS, "difference", "difference_from_control"):
        assert set(outcome[name]) == {"mean", "low", "high", "episodes"}
        assert outcome[name]["low"] <= outcome[name]["mean"] <= outcome[name]["high"]
        assert outcome[name]["episodes"] == 9
    assert outcome["verdict"] in ("helps", "hurts", "within noise")
    assert outcome["removed"] == drop
    assert (outcome["round"], outcome["records"], outcome["parent"]) == (1, 128, parent.name)
    assert outcome["evaluation_seeds"] == [EVALUATION_SEED, EVALUATION_SEED + 8]
    for name in ARMS:
        assert np.mean(outcome["order_means"][name]) == pytest.approx(outcome[name]["mean"])
    stored = read_json(Path(outcome["run"]) / "result.json").values
    assert stored == json.loads(json.dumps(outcome.to_json(), allow_nan=False))


def test_original_arm_is_the_run_itself(outcome: Outcome, parent: Run) -> None:
    """Order 0 of the original is the recorded theta(k+1), evaluated on the first block of seeds."""
    from engine.envs import find
    from engine.kinds.control.evaluation import Evaluator
    from engine.kinds.control.networks import restore_policy

    snapshot = parent.snapshot(2)
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    returns = Evaluator(find("CartPole-v1")).returns(policy, EVALUATION_SEED + np.arange(3))
    assert outcome["order_means"]["original"][0] == pytest.approx(returns.mean())


def test_how_the_target_changed_has_the_sign_that_influence_predicts(outcome: Outcome) -> None:
    """Without the records that lowered the return target most, it ends higher than with them."""
    assert outcome["target"]["name"] == "return"
    assert outcome["target"]["counterfactual"]["mean"] > 0


def test_branch_is_a_sound_run_that_names_its_parent(outcome: Outcome, parent: Run, drop: list[int]) -> None:
    assert engine.verify_run(outcome["run"]) == []
    branch = engine.open_run(outcome["run"])
    origin = branch.manifest.parent
    assert origin is not None
    assert (origin.run, origin.round, list(origin.removed), origin.mode) == (parent.name, 1, drop, "mask")
    assert origin.commit == parent.snapshot(1).hash
    assert branch.stored_rounds == [1, 2]
    assert branch.final is not None
    assert branch.config.rounds == 3


def test_branchs_first_round_has_the_metrics_of_its_own_update(outcome: Outcome, parent: Run) -> None:
    branch = engine.open_run(outcome["run"])
    replayed = vars(engine.replay(branch.snapshot(1)).metrics)
    stored, original = branch.rounds[0].metrics, parent.rounds[1].metrics
    for name in ("value_loss", "approx_kl", "grad_norm"):
        assert stored[name] == pytest.approx(replayed[name])
        assert stored[name] != pytest.approx(original[name])


def test_branchs_first_round_is_the_parents_without_the_records(outcome: Outcome, parent: Run, drop: list[int]) -> None:
    first, original = engine.open_run(outcome["run"]).snapshot(1), parent.snapshot(1)
    assert np.flatnonzero(~first.buffer.kept).tolist() == drop
    columns = {name: column for name, column in vars(original.buffer).items() if not name.endswith("kept")}
    same_tensors({name: getattr(first.buffer, name) for name in columns}, columns)
    same_tensors(dict(first.checkpoint), dict(original.checkpoint))


def test_branch_replays_exactly_and_goes_on_from_the_counterfactual(
    outcome: Outcome, parent: Run, drop: list[int]
) -> None:
    branch = engine.open_run(outcome["run"])
    for k in branch.stored_rounds:
        after = {n: t for n, t in branch.checkpoint(k + 1).items() if n.startswith(("parameter/", "optimizer/"))}
        same_tensors(engine.replay(branch.snapshot(k)).checkpoint, after)
    same_tensors(engine.replay(parent.snapshot(1), drop).checkpoint, engine.replay(branch.snapshot(1)).checkpoint)
    mine, theirs = branch.snapshot(2), parent.snapshot(2)
    assert not np.array_equal(mine.parameters["actor.0.weight"], theirs.parameters["actor.0.weight"])
    for name in ("environment/0/rng", "environment/0/actions", "environment/0/observation"):
        assert np.array_equal(mine.checkpoint[name], theirs.checkpoint[name]), "the environment goes on as it stood"


def test_control_branch_removes_as_many_random_records(outcome: Outcome, drop: list[int]) -> None:
    control = engine.open_run(Path(outcome["run"]) / "control")
    assert engine.verify_run(control.path) == []
    origin = control.manifest.parent
    assert origin is not None
    assert len(origin.removed) == len(drop)
    assert list(origin.removed) != drop


def test_curves_show_how_each_went_on(outcome: Outcome, parent: Run) -> None:
    curves = outcome["curves"]
    assert set(curves) == set(ARMS)
    assert curves["original"] == [{"round": 2, "mean_return": parent.rounds[2].metrics["mean_return"]}]
    branch = engine.open_run(outcome["run"])
    assert curves["counterfactual"] == [{"round": 2, "mean_return": branch.rounds[1].metrics["mean_return"]}]
    assert [point["round"] for point in curves["control"]] == [2]


def test_equal_interventions_have_equal_results(outcome: Outcome, parent: Run, drop: list[int]) -> None:
    again = engine.retrain(
        parent.path, 1, drop[::-1], parent.path.parent / "again", orders=3, episodes=9, continue_rounds=1
    )
    assert {**again, "run": ""} == {**outcome, "run": ""}


@pytest.mark.parametrize("mode", ["mask", "rebatch"])
def test_without_going_on(parent: Run, mode: Any, tmp_path: Path) -> None:
    """The branch holds the replayed round and the checkpoint after it, in either mode."""
    drop = list(range(40))
    result = engine.retrain(parent, 0, drop, tmp_path / "out", mode=mode, orders=2, episodes=2)
    assert "curves" not in result
    assert not (tmp_path / "out" / "control").exists()
    branch = engine.open_run(tmp_path / "out")
    assert engine.verify_run(branch.path) == []
    assert branch.stored_rounds == [0]
    expected = engine.replay(parent.snapshot(0), drop, mode=mode).checkpoint
    found = {n: t for n, t in branch.checkpoint(1).items() if n.startswith(("parameter/", "optimizer/"))}
    same_tensors(found, expected)
    same_tensors(engine.replay(branch.snapshot(0)).checkpoint, expected)
    assert branch.manifest.parent is not None
    assert branch.manifest.parent.mode == mode


def test_rebatched_minibatches_can_be_stored(parent: Run) -> None:
    """Permutations cover all records; those that were removed come last, so that they shorten no minibatch."""
    drop = np.arange(0, 128, 3)
    changed = intervene(parent.snapshot(0), drop, mode="rebatch")
    assert (np.sort(changed.minibatches, axis=1) == np.arange(128)).all()
    left = 128 - len(drop)
    assert changed.buffer.kept[changed.minibatches[:, :left]].all()


def test_branch_of_a_branch(outcome: Outcome, parent: Run, drop: list[int], tmp_path: Path) -> None:
    """What was removed stays removed, and the control is drawn from what is left."""
    branch = engine.open_run(outcome["run"])
    more = [i for i in range(128) if i not in drop][:3]
    result = engine.retrain(branch, 1, more, tmp_path / "deeper", orders=2, episodes=2)
    deeper = engine.open_run(tmp_path / "deeper").snapshot(1)
    assert np.flatnonzero(~deeper.buffer.kept).tolist() == sorted([*drop, *more])
    assert result["removed"] == more


def test_nearly_everything_that_is_left(outcome: Outcome, drop: list[int], tmp_path: Path) -> None:
    """Naming records that are already gone must not make the control larger than what is there."""
    branch = engine.open_run(outcome["run"])
    left = [i for i in range(128) if i not in drop]
    result = engine.retrain(branch, 1, [*drop, *left[1:]], tmp_path / "one", orders=2, episodes=2)
    assert np.isfinite(result["control"]["mean"])
    assert engine.open_run(tmp_path / "one").snapshot(1).buffer.kept.sum() == 1


def test_repaired_records_go_on_training(parent: Run, drop: list[int], tmp_path: Path) -> None:
    """All three arms, in every order and in what is recorded, are what `replay` makes of repaired records."""
    outcome = engine.retrain(parent, 1, drop, tmp_path / "out", repair=True, orders=2, episodes=2, continue_rounds=1)
    snapshot, branch = parent.snapshot(1), engine.open_run(outcome["run"])
    assert outcome.repair
    assert outcome.removed == drop
    target = engine.return_target(snapshot)
    replayed = [float(target.value(engine.replay(snapshot, repair=drop, order=q).policy)) for q in (0, 1)]
    assert outcome["target"]["order_values"]["counterfactual"] == replayed
    first = branch.snapshot(1)
    assert first.buffer.kept.all()
    assert np.flatnonzero(first.buffer.repaired).tolist() == drop
    same_tensors(engine.replay(first).checkpoint, engine.replay(snapshot, repair=drop).checkpoint)
    same_tensors(engine.replay(first, repair=drop).checkpoint, engine.replay(first).checkpoint)
    control = engine.open_run(branch.path / "control")
    assert control.snapshot(1).buffer.kept.all()
    assert len(drop) == control.snapshot(1).buffer.repaired.sum()
    for run in (branch, control):
        assert engine.verify_run(run.path) == []
        origin = run.manifest.parent
        assert origin is not None
        assert (origin.removed, len(origin.repaired)) == ((), len(drop))
    with pytest.raises(
        BadInputError, match="can't be repaired: the update of this round went without these records, or"
    ):
        engine.retrain(branch, 1, drop[:3], tmp_path / "again", repair=True)
    with pytest.raises(BadInputError, match="repaired records stay in their minibatches; mode is rebatch"):
        engine.retrain(parent, 1, drop, tmp_path / "again", repair=True, mode="rebatch")


@pytest.mark.parametrize(
    ("round", "drop", "message"),
    [
        (0, [], "it must be a list of at least 1"),
        (0, [128], "record 128 is out of range; this round has records 0 to 127"),
        (0, list(range(128)), "all 128 records would be removed"),
        (9, [1], "round 9 is not in this run; it has rounds 0 to 3"),
        (4, [1], "4 is the final checkpoint, which has no records"),
    ],
)
def test_bad_requests_write_nothing(
    parent: Run, round: int, drop: list[int], message: str, tmp_path: Path, listing: Listing
) -> None:
    before = listing(parent.path)
    with pytest.raises(BadInputError, match=message):
        engine.retrain(parent, round, drop, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert listing(parent.path) == before


def test_a_taken_folder_is_refused_before_the_work(parent: Run) -> None:
    told: list[str] = []
    with pytest.raises(BadInputError, match="is there already; choose another folder"):
        engine.retrain(parent, 0, [1], parent.path, progress=lambda doing, done, total: told.append(doing))
    assert told == []


def test_progress_counts_up_to_the_end(parent: Run, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    engine.retrain(
        parent,
        0,
        [1, 2],
        tmp_path / "out",
        orders=2,
        episodes=2,
        continue_rounds=1,
        progress=lambda *said: told.append(said),
    )
    done, totals = [d for _, d, _ in told], {total for *_, total in told}
    assert done == sorted(done)
    assert len(totals) == 1
    assert 0.9 * max(totals) <= done[-1] <= max(totals)
    assert {"original", "counterfactual", "control"} <= {doing.split(",")[0] for doing, *_ in told}


@pytest.mark.parametrize("at", ["counterfactual, minibatch order 2", "training"])
def test_cancelling_leaves_nothing_broken(parent: Run, at: str, tmp_path: Path, listing: Listing) -> None:
    """Cancelled while replaying or while the branch trains on: the folder never appears, and nothing beside it stays."""
    before = listing(parent.path)

    def stop(doing: str, done: int, total: int) -> None:
        if doing.startswith(at):
            raise CancelledError("cancelled by the test")

    with pytest.raises(CancelledError):
        engine.retrain(parent, 0, [1, 2], tmp_path / "out", orders=2, episodes=2, continue_rounds=2, progress=stop)
    assert listing(parent.path) == before
    assert list(tmp_path.iterdir()) == []


def test_the_target_is_said_in_any_way(parent: Run, tmp_path: Path) -> None:
    """A word with loose values, a name, a question or the target itself: the same is measured."""
    name = engine.TargetName(target="action", about=9)
    ways: list[Any] = [
        name,
        Question(target=name, estimator="tracin"),
        engine.action_target(parent.snapshot(1), record=9),
    ]
    few: dict[str, Any] = {"orders": 2, "episodes": 2}
    loose = engine.retrain(parent, 1, [3], tmp_path / "loose", target="action", about=9, **few)
    assert (loose.target.name, loose.target.about) == ("action", 9)
    for number, target in enumerate(ways):
        found = engine.retrain(parent, 1, [3], tmp_path / str(number), target=target, **few)
        assert found["target"] == loose["target"]


def test_a_target_without_a_name_in_the_round_is_refused(parent: Run, tmp_path: Path) -> None:
    first, second = parent.snapshot(1), parent.snapshot(2)
    own = engine.ActionTarget(first.buffer.observation[:1], first.buffer.action[:1])
    later = engine.return_target(first, second.buffer)
    for target in (own, later, engine.action_target(second, record=9), engine.return_target(second)):
        with pytest.raises(BadInputError, match=r"target has no name in round 1.*engine\.TargetName"):
            engine.retrain(parent, 1, [3], tmp_path / "out", target=target)
    with pytest.raises(BadInputError, match="about is said beside a target that says it"):
        engine.retrain(parent, 1, [3], tmp_path / "out", target=engine.action_target(first, record=9), about=4)
    with pytest.raises(BadInputError, match="a target is needed, not int"):
        engine.retrain(parent, 1, [3], tmp_path / "out", target=5)  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="orders is '2'; it must be a whole number"):
        engine.retrain(parent, 1, [3], tmp_path / "out", orders="2")  # type: ignore[arg-type]


def test_a_span_of_tokens_is_measured(tmp_path: Path) -> None:
    run = engine.open_run(Path(__file__).resolve().parents[3] / "sample_runs" / "courtesy")
    target = engine.action_target(run.snapshot(0), record=7, tokens=(5, 6))
    few: dict[str, Any] = {"orders": 2, "episodes": 2}
    loose = engine.retrain(run, 0, [3], tmp_path / "loose", target="action", about=7, tokens=(5, 6), **few)
    itself = engine.retrain(run, 0, [3], tmp_path / "itself", target=target, **few)
    whole = engine.retrain(run, 0, [3], tmp_path / "whole", target="action", about=7, **few)
    before = [outcome["target"]["order_values"]["original"][0] for outcome in (loose, itself, whole)]
    assert before[0] == before[1] != before[2]


def test_other_processes_make_the_same_bit_for_bit(outcome: Outcome, parent: Run, drop: list[int]) -> None:
    told: list[tuple[str, int, int]] = []
    there = {"pool": engine.Pool("processes", 2), "progress": lambda *said: told.append(said)}
    out = parent.path.parent / "elsewhere"
    found = engine.retrain(parent, 1, drop, out, orders=3, episodes=9, continue_rounds=1, **there)
    assert {**found, "run": ""} == {**outcome, "run": ""}
    done, total = [d for _, d, _ in told], told[0][2]
    assert done == sorted(done)
    assert 0.9 * total <= done[-1] <= total
