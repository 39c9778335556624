"""The parts of the benchmark suite. `python -m benchmarks` runs all of them, or those that it is given by name."""
