"""What the terminal says of the time that is left."""

from __future__ import annotations

from engine.terminal import Estimate


def test_the_time_left_follows_the_pace_since_the_start() -> None:
    left = Estimate()
    assert left(40, 100, now=1000) == ""  # done before by somebody else
    assert left(40, 100, now=1005) == ""
    assert left(50, 100, now=1010) == ", 50 s left"
    assert left(60, 100, now=1200) == ", 7 min left"
    assert left(100, 100, now=1300) == ""
    assert left(41, 100, now=1000 + 600) == ", 9.8 h left"
