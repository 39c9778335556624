"""What a router learns about a candidate from the answers of its provider."""
