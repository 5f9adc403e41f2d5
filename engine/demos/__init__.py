"""Demonstrations that ship: each uses the kinds of runs as anybody could, and nothing below `demos` imports them."""

from engine.named_worlds import register

register("courtesy", "engine.demos.courtesy.named:COURTESY")
