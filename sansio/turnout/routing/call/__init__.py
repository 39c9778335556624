"""The state machine of one call, and everything that one call owns."""
