"""What a result's file says is shown if it is known, else named as unknown."""

from app.removal import verdicts
from engine.core.replays.replay import mode_name
from engine.intervention.comparison import VERDICT_WORDS, verdict_name


def test_a_known_verdict_is_explained() -> None:
    assert verdicts.sentence("helps") == f"**helps**: {VERDICT_WORDS['helps']}"
    assert mode_name("rebatch") == "rebatch"


def test_an_unknown_one_is_text_that_says_so() -> None:
    for value in ("![x](https://host/a)", ["helps"], None):
        assert verdict_name(value) == f"unknown verdict {value!r}"
        assert mode_name(value) == f"unknown mode {value!r}"
    made = verdicts.sentence("![x](https://host/a)")
    assert "![" not in made
    assert "://" not in made
    assert made.endswith("this version knows helps, hurts, within noise.")
