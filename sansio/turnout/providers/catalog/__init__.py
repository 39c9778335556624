"""Data about providers: their specs, their models and the limits of both."""
