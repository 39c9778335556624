"""Parts of request building that several dialects share."""
