"""Searches for bytes that a reader of Turnout cannot bear. See `benchmarks.fuzz.__main__`."""
