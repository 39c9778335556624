"""Rewrites JSON Schemas to the subset that a provider enforces."""
