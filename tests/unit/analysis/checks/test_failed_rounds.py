"""Failed checks as incidents: what was planted is named with its update, once, and only new rounds are checked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from planted import ROUND, planted_run

import engine
from engine.analysis.checks.checked import Check
from engine.analysis.checks.failed_rounds import failed_checks, with_failed
from engine.analysis.checks.round_checks import BEFORE_UPDATE
from engine.analysis.incidents.incident import Incident, Incidents
from engine.errors import DamagedRunError
from engine.store.read import Run

SMALL = {"rounds": 7, "n_envs": 2, "n_steps": 128, "n_epochs": 1, "batch_size": 128, "seed": 3}
WRONG = Check("critic", False, "the recorded values are not the critic's", "critic", (3,))
NUMBERS = Check("numbers", False, "reward is not finite", "numbers", (1,))
WEIGHTS = Check("numbers", False, f"parameter/actor.0.weight {BEFORE_UPDATE}", "numbers")


@pytest.fixture(scope="module")
def silent_gamma(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = engine.preset("CartPole-v1", "default", **SMALL)
    return planted_run(tmp_path_factory.mktemp("planted") / "run", "gamma", 0.5, config)


def incidents_of(failed: dict[int, tuple[Check, ...]], told: tuple[Incident, ...] = ()) -> list[Incident]:
    """The incidents of rounds that fail these checks."""
    rounds: Any = SimpleNamespace(in_order=sorted(failed.items()), failed={})
    return list(with_failed(Incidents(told, 20), rounds))


def test_a_silent_gamma_is_an_incident_of_the_update_that_learns_with_it(silent_gamma: Run) -> None:
    assert list(engine.incidents(silent_gamma)) == [], "metrics alone do not tell"
    (only,) = engine.incidents(silent_gamma, records=True)
    assert (only.kind, only.onset, only.first, only.last, only.update) == ("failed check", ROUND, ROUND, ROUND, ROUND)
    assert only.reason.startswith("advantages were computed with gamma 0.5")
    assert only.short == f"failed check at round {ROUND}: advantages"


def test_only_new_rounds_are_checked(silent_gamma: Run) -> None:
    failed_checks(silent_gamma).advance(only=[0, 1, ROUND])
    again = failed_checks(silent_gamma, read=lambda k: pytest.fail(f"round {k} was read again"))
    assert not {0, 1, ROUND} & {*again.missing}
    assert [check.name for check in again.found[ROUND]] == ["advantages"]


def test_a_check_that_goes_on_failing_is_one_incident_and_another_is_another() -> None:
    gone = Check("settings", False, "changed since the round before: gamma from 0.99 to 0.5", "advantages")
    found = incidents_of({2: (), 3: (WRONG, gone), 4: (WRONG,), 8: (WRONG,), 9: (), 10: (WRONG,)})
    assert [(each.metrics, each.onset, each.last, each.update) for each in found] == [
        (("settings",), 3, 3, 3),
        (("critic",), 3, 8, 3),
        (("critic",), 10, 10, 10),
    ]
    assert found[1].reason == "the recorded values are not the critic's; this check fails up to round 8"
    assert found[1].records == (3,)


def test_numbers_are_told_once_and_those_of_a_checkpoint_are_the_doing_of_the_update_before() -> None:
    told = Incident("not finite", 4, 4, 5, "KL is no number", 4, 4)
    assert incidents_of({4: (NUMBERS,), 5: (NUMBERS,)}, (told,)) == [told]
    (first,) = incidents_of({4: (NUMBERS,)})
    (weights,) = incidents_of({4: (WEIGHTS,)})
    assert (first.update, weights.update) == (4, 3)


def test_rounds_that_can_not_be_read_are_counted(silent_gamma: Run) -> None:
    def damaged(k: int) -> Any:
        raise DamagedRunError("records are damaged")

    checks = failed_checks(silent_gamma, cache=False, read=damaged)
    checks.advance()
    (said,) = with_failed(Incidents((), 7), checks).missing
    assert said == "7 rounds could not be checked, the first of them 0: records are damaged"


def test_rounds_that_can_not_be_replayed_are_counted_and_are_no_incidents() -> None:
    not_replayed = Check("replay", None, "round 2 is not replayed: its minibatches were not recorded")
    rounds: Any = SimpleNamespace(in_order=[(2, (not_replayed,)), (3, (not_replayed, WRONG))], failed={})
    found = with_failed(Incidents((), 20), rounds)
    assert [(each.metrics, each.onset) for each in found] == [(("critic",), 3)]
    assert found.missing == (
        "2 rounds could not be replayed: round 2 is not replayed: its minibatches were not recorded",
    )


def test_what_numbers_tell_is_no_round_that_could_not_be_replayed() -> None:
    nowhere = Check("replay", None, "theta(3) is not finite, so that nothing lands on it")
    rounds: Any = SimpleNamespace(in_order=[(2, (NUMBERS, nowhere))], failed={})
    assert with_failed(Incidents((), 20), rounds).missing == ()


def test_a_last_round_is_replayed_once_there_is_what_it_led_to(tmp_path: Path) -> None:
    config = engine.preset("CartPole-v1", "default", **{**SMALL, "rounds": 3})
    for snapshot in engine.rounds(config, tmp_path / "run"):
        if snapshot.round == 1:
            break
    (said,) = engine.incidents(tmp_path / "run", replays=True).missing
    assert said.startswith("1 round could not be replayed: round 0 is not replayed: the parameters after it")
    engine.train(config, tmp_path / "run", resume=True)
    assert engine.incidents(tmp_path / "run", replays=True).missing == ()
