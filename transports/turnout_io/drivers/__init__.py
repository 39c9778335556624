"""The drivers: each runs the state machine of a call over a transport."""
