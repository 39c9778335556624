"""How well the default policy routes, in simulated worlds: `python -m benchmarks.strategies`."""
