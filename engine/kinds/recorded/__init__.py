"""Runs of other people's trainers: recorded from outside, replayed with the trainer's own loss."""
