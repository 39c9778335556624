"""The sandbox's side of anthropic."""
