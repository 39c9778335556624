"""The sandbox's side of cohere."""
