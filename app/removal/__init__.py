"""Removing records: the dialog that begins it, the series over rounds, the verdict, and what was predicted of it."""
