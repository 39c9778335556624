"""Models, tools, parts and formats. Programs import them from `turnout`, `turnout.chat` and `turnout.messages`."""
