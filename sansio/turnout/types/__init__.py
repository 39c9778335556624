"""Models, tools, parts and formats. Programs import them from `turnout`, `turnout.chat` and `turnout.messages`."""

from typing import TYPE_CHECKING

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from turnout._utils.hints.names import missing_name

        raise missing_name(__name__, name)
