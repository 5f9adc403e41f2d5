"""Remove records, replay the round, and compare with the original and with a random removal."""
