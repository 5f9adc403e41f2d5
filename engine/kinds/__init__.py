"""The kinds of runs: each is what the core does not know of its records."""
