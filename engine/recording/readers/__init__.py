"""Readers of the files that other trainers write down: TRL's tables and verl's lines, each a `Dump` of sequences."""
