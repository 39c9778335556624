"""The v2 API of Cohere."""
