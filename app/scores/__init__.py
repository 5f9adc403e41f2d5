"""Scores on a page: how they are asked for and computed, what they are made of, and whether they can be trusted."""
