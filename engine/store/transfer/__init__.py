"""Runs on their way: thinned copies, archives, and runs that came from somebody else."""
