"""Reads the message of a choice: its text, reasoning, tool calls, media, and the fields that go back unread."""
