"""Do scores predict what removal does? Real replays, rank correlations, noise ceilings, and what they cost."""
