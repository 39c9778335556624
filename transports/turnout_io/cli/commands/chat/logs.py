"""`turnout logs`: the conversations that `turnout chat` kept."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final

import click

from turnout.messages import Role
from turnout_io.cli.commands.chat.conversations import Turn, conversations_file, read_turns
from turnout_io.cli.commands.chat.output import printable
from turnout_io.cli.defaults import user_folder
from turnout_io.cli.elsewhere import HintedCommand
from turnout_io.cli.errors import WrongUsage, one_line

__all__ = ["logs"]


_SEARCH: Final = "there is no search: turnout logs -n 0 --json prints all, for grep or jq"
_FILE: Final = "all conversations are in the file that turnout logs --path prints"
_JSON: Final = "turnout logs --json has the tokens, the cost and the texts, for jq"
_ELSEWHERE: Final = {
    "list": "turnout logs",
    "show": "turnout logs",
    "path": "turnout logs --path",
    "status": "turnout logs --path",
    "on": "turnout config set log true",
    "off": "turnout config set log false",
    **dict.fromkeys(("delete", "rm", "remove", "clear"), _FILE),
    **dict.fromkeys(("backup", "export"), _FILE),
    **dict.fromkeys(("--clear", "--delete", "-d", "--database"), _FILE),
    **dict.fromkeys(("-u", "--usage", "-x", "--extract", "-s", "--short", "-t", "--truncate"), _JSON),
    **dict.fromkeys(("--since", "--before", "--until"), _SEARCH),
    "-q": _SEARCH,
    "--query": _SEARCH,
    "--search": _SEARCH,
    "-m": _SEARCH,
    "--model": _SEARCH,
    "-l": "the last one is -n 1",
    "--latest": "the last one is -n 1",
    "-r": "print the last one with -n 1; turnout chat -c continues it",
    "--response": "print the last one with -n 1; turnout chat -c continues it",
    "-c": "a conversation is --conversation ID",
    "--cid": "it is --conversation",
}


@click.command(cls=HintedCommand, elsewhere=_ELSEWHERE)
@click.option(
    "-n", "--number", default=3, show_default=True, type=click.IntRange(min=0), metavar="NUMBER",
    help="How many, the last ones; 0 for all.",
)  # fmt: skip
@click.option("--conversation", metavar="ID", help="Only this conversation.")
@click.option("--path", "only_path", is_flag=True, help="Print where the file is.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines: one object for each question.")
def logs(number: int, conversation: str | None, only_path: bool, as_json: bool) -> None:
    """Show the last questions and answers that `turnout chat` kept.

    The file is an SQLite database. Delete it to forget all conversations.

    \b
    Examples:
      turnout logs
      turnout logs -n 0 --json
      turnout logs --path
    """
    path = conversations_file(user_folder())
    if only_path:
        click.echo(path)
        return
    with one_line():
        turns = read_turns(path, conversation=conversation, last=number or None)
    if conversation is not None and not turns:
        raise WrongUsage(f"no conversation has the id {conversation!r}; turnout logs -n 0 lists them")
    if as_json:
        for turn in turns:
            click.echo(json.dumps(turn.to_dict(), ensure_ascii=False))
        return
    if not turns:
        click.echo(f"turnout: no conversation is kept in {path}", err=True)
    for turn in turns:
        click.echo(_text_of(turn))


def _text_of(turn: Turn) -> str:
    when = datetime.fromtimestamp(turn.at).astimezone()
    lines = [f"# {when:%Y-%m-%d %H:%M}  {turn.model}  conversation {turn.conversation}", ""]
    for message in turn.messages:
        others = len(message.content) - 1
        attached = (
            f" [{others} attachment{'s' if others > 1 else ''}]" if message.role is Role.USER and others > 0 else ""
        )
        lines += [f"{message.role.value}: {printable(message.text).rstrip()}{attached}", ""]
    if turn.incomplete is not None:
        lines += [f"[incomplete: {turn.incomplete}]", ""]
    return "\n".join(lines)
