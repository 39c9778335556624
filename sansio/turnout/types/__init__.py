"""The classes of requests and responses. Programs import them from `turnout`, `turnout.chat` and `turnout.messages`."""
