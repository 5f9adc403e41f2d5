"""Other people's trainers: what they wrote down, to be looked at."""
