"""The page Sequences: a language model's records as text."""
