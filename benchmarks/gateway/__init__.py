"""Measures `turnout serve` beside LiteLLM's proxy, on the same back end: `python -m benchmarks.gateway`."""
