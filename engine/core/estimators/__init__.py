"""Estimators of influence, by name: one inner product, sums along the update, fits to replays, averages over orders."""
