"""Batches: many rows, one answer for each, and a run that can be cut off and resumed. Pure."""
