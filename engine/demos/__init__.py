"""Demonstrations that ship: each uses the kinds of runs as anybody could, and the rest of the engine does without them."""
