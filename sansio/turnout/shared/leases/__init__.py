"""The parts of shared amounts that one process holds: windows of rate limits, balances, and probes."""
