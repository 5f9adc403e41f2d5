"""Faults that are planted in one round of a training, to see what an autopsy names: only there the truth is known."""
