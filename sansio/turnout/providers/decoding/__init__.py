"""Parts of response reading that several dialects share."""
