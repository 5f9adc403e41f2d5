"""A list of incidents: what it says of itself, and its JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from engine.analysis.incidents.falls import Drop
from engine.analysis.incidents.incident import DROP, NOT_FINITE, STUCK, Incident, Incidents

FALL = Drop(round=50, before=224.0, after=98.0, episodes_before=4, episodes_after=5, z=1.9)


def made_up(onset: int) -> Incident:
    return Incident(DROP, onset, onset, onset + 2, "it fell", onset - 1, onset + 1, ("KL 0.3",), FALL, (onset,))


def test_a_list_that_says_what_is_in_it() -> None:
    found = Incidents(tuple(map(made_up, (3, 30, 300, 700, 900))), 1200)
    assert (len(found), found[1].onset, [each.onset for each in found[3:]]) == (5, 30, [700, 900])
    assert [each.onset for each in found] == [3, 30, 300, 700, 900]
    assert repr(found) == "Incidents(drop at 3, drop at 30, drop at 300, drop at 700 and 1 more, in 1,200 rounds)"
    assert repr(found[0]) == "Incident(drop at round 3: it fell)"
    assert found.sentence == "5 incidents in 1,200 rounds"


def test_where_there_are_none_it_says_what_came_closest() -> None:
    assert Incidents((), 100, FALL).sentence == (
        "no incident in 100 rounds; the largest drop, 224 to 98 at round 50, is within noise (5 episodes)"
    )
    assert Incidents((), 1).sentence == "no incident in 1 round"
    assert (
        Incidents((), 1, FALL, "too few episodes to tell").sentence
        == "no incident in 1 round; too few episodes to tell"
    )
    assert repr(Incidents((), 100)) == "Incidents(none in 100 rounds)"


def test_a_few_words_for_a_table() -> None:
    assert made_up(3).short == "drop at round 3: 224 to 98"
    stopped = Incident(NOT_FINITE, 2, 2, 9, "no number", 2, 2, metrics=("approx_kl", "mean_return"))
    assert stopped.short == "not finite at round 2: approx kl, mean return"
    assert Incident(STUCK, 4, 4, 9, "stuck", 3, 6).short == "stuck at round 4"


@pytest.mark.parametrize(
    ("z", "why"),
    [
        (1.9, "it is 1.9 standard errors, which is within noise; an incident has at least 4"),
        (None, "there are too few episodes around it to tell it from noise"),
        (4.6, "it is 4.6 standard errors, but too small; an incident is a quarter of the range of the returns so far"),
    ],
)
def test_the_largest_other_fall_and_why_it_is_no_incident(z: float | None, why: str) -> None:
    said = Incidents((), 100, replace(FALL, z=z)).largest_in_words
    begin = "the largest fall from one round to the next is 224 to 98 at round 50 (4 episodes against 5): "
    assert said.startswith(begin + why)
    assert "largest other fall" in Incidents((made_up(3),), 100, replace(FALL, z=z)).largest_in_words
    assert Incidents((), 100).largest_in_words == ""


def test_json() -> None:
    found = Incidents((made_up(51),), 100, FALL, "", ("no entropy",)).to_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found.keys() == {"rounds", "looked_at", "too_few", "largest_within_noise", "missing"}
    (only,) = found["rounds"]
    assert (only["round"], only["kind"], only["reason"], only["update"]) == (51, "drop", "it fell", 50)
    assert only["drop"] == found["largest_within_noise"] == FALL.to_json()
    assert (only["first"], only["last"], only["seen"], only["onsets"]) == (51, 53, 52, [51])
    assert (only["causes"], only["metrics"], only["records"]) == (["KL 0.3"], [], [])
