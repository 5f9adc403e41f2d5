"""The update again: once, many times in a pool, and step by step."""
