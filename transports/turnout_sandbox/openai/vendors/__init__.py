"""The OpenAI-shaped providers that the sandbox plays: what each accepts, rejects and sends."""
