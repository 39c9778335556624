"""The native API of Ollama."""
