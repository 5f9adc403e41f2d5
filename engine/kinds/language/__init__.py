"""Language models: sequences as records (extra `rlhf`)."""
