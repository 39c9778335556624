"""OpenAI's chat completions, and the many servers that are compatible with them."""
