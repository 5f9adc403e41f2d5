"""Demonstrations that ship: each uses the kinds of runs as anybody could, and the rest of the engine does without them."""

from engine.named_worlds import register

register("courtesy", "engine.demos.courtesy.named:COURTESY")
