"""The sandbox's side of gemini."""
