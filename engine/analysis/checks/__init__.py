"""Is a round what it claims to be? Exact checks of its record, in which nothing is played."""
