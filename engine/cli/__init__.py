"""The commands of `python -m engine`: options in, tables or JSON out; the work is done on the floors below."""
