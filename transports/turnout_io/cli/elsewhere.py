"""How a word or an option of other programs is written here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

__all__ = ["KEYS", "HintedCommand", "refuse_word"]

KEYS: Final = (
    "turnout has no key store: set the key in a variable such as OPENAI_API_KEY, in the file .env or in the "
    "config file (turnout config path); turnout doctor checks those that are found"
)


def refuse_word(what: str, word: str, elsewhere: Mapping[str, str], context: click.Context) -> None:
    """Refuse a subcommand of other programs.

    Args:
        what: What does not have it, such as "config has no command".
        word: What was given.
        elsewhere: The way here for each word of other programs.
        context: The command's.

    Raises:
        click.UsageError: If the word has a way here.
    """
    if word in elsewhere:
        raise click.UsageError(f"{what} {word!r}; the way here: {elsewhere[word]}", context)


class HintedCommand(click.Command):
    """Names the way here for an option of similar commands, or for a subcommand if this command takes no arguments."""

    def __init__(self, *args: Any, elsewhere: Mapping[str, str], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._elsewhere = elsewhere

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and not args[0].startswith("-"):
            refuse_word(f"{self.name} has no command", args[0], self._elsewhere, ctx)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name not in self._elsewhere:
                raise
            raise click.UsageError(
                f"no option is named {error.option_name}: {self._elsewhere[error.option_name]}", ctx
            ) from None
