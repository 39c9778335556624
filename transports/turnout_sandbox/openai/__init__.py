"""The sandbox's side of OpenAI's APIs and of the vendors that are compatible with them."""
