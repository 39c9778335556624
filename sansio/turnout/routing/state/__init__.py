"""State that the calls of one router share: candidates, limits, breakers, latency."""
