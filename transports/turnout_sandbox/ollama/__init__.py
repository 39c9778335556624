"""The sandbox's side of ollama."""
