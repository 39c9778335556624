"""`turnout chat`: one question, or the next one of a conversation."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import click

from turnout.chat import ChatRequest, ChatResponse, ModelConfig
from turnout.errors import TurnoutError
from turnout.messages import Message, Role
from turnout_io.cli.commands.chat.conversations import (
    Conversation,
    ConversationsError,
    conversations_file,
    keep,
    last_conversation,
)
from turnout_io.cli.commands.chat.dry_run import print_plan
from turnout_io.cli.commands.chat.options_elsewhere import OPTIONS_ELSEWHERE
from turnout_io.cli.commands.chat.output import (
    first_code_block,
    print_notes,
    print_stream,
    printable,
    reply_fields,
    usage_line,
)
from turnout_io.cli.commands.chat.prompt import read_question, response_format_of, with_settings
from turnout_io.cli.defaults import user_folder
from turnout_io.cli.elsewhere import HintedCommand
from turnout_io.cli.errors import CallFailed, WrongUsage, one_line
from turnout_io.cli.options import CONFIG, ENV_FILE, EXPLAIN, JSON, MODELS, SANDBOX, TIMEOUT, TRACE
from turnout_io.cli.router import Session, choose_models, open_session
from turnout_io.cli.standard_files import reason_of

__all__ = ["chat"]


@attrs.frozen(kw_only=True)
class Wanted:
    """How the answer is wanted."""

    stream: bool
    collect: bool
    as_json: bool
    extract: bool
    usage: bool
    explain: bool
    timeout: float | None
    log: bool


def _check_settings(args: list[str], ctx: click.Context) -> None:
    """Refuse `-o KEY=VALUE`: the parser would take the next argument as the value."""
    for option, given in itertools.pairwise(itertools.takewhile(lambda arg: arg != "--", args)):
        key, equals, value = given.partition("=")
        if option in ("-o", "--option") and equals:
            raise click.UsageError(f"{option} {given}: write {option} {key} {value}", ctx)


class ChatCommand(HintedCommand):
    """Refuses `-o KEY=VALUE` too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _check_settings(args, ctx)
        has_end_of_options = "--" in args  # the parser takes its arguments out of the list
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if error.message.startswith("Got unexpected extra argument"):
                told = "PROMPT is one argument; put it in quotes: turnout chat 'Why?'"
                if has_end_of_options:
                    told += "; options are before --"
                raise click.UsageError(told, ctx) from None
            if error.message.endswith("requires 2 arguments."):
                raise click.UsageError("-o takes KEY VALUE, as in -o temperature 0.2", ctx) from None
            raise


@click.command(cls=ChatCommand, elsewhere=OPTIONS_ELSEWHERE)
@click.argument("prompt", required=False)
@MODELS
@click.option("-s", "--system", metavar="TEXT", help="Instructions before the conversation. The last -s counts.")
@click.option("-a", "--attachment", "attachments", multiple=True, metavar="FILE", help='A file, a URL, or "-".')
@click.option(
    "-o", "--option", "options", multiple=True, nargs=2, metavar="KEY VALUE",
    help="A setting of the model, such as temperature 0.2.",
)  # fmt: skip
@click.option("--schema", metavar="SCHEMA", help='JSON Schema, its file, or "name, age int": JSON is answered.')
@click.option(
    "--strict/--no-strict", default=True,
    help="Hold the answer to --schema, or only ask for it: for a schema with optional properties.",
)  # fmt: skip
@click.option("-x", "--extract", is_flag=True, help="Print only the first code block of the answer.")
@click.option("-u", "--usage", is_flag=True, help="Print tokens and cost on stderr.")
@click.option("-c", "--continue", "goes_on", is_flag=True, help="Continue the last conversation.")
@click.option("--conversation", metavar="ID", help="Continue this conversation (see turnout logs).")
@click.option("--log/--no-log", default=None, help="Keep the conversation, or not. Kept by default.")
@click.option("--dry-run", is_flag=True, help="Show the request of each candidate, and send nothing.")
@click.option("--no-stream", is_flag=True, help="Ask for the whole answer at once.")
@JSON
@EXPLAIN
@TRACE
@TIMEOUT
@SANDBOX
@CONFIG
@ENV_FILE
def chat(
    prompt: str | None,
    models: list[ModelConfig],
    system: str | None,
    attachments: tuple[str, ...],
    options: tuple[tuple[str, str], ...],
    schema: str | None,
    strict: bool,
    extract: bool,
    usage: bool,
    goes_on: bool,
    conversation: str | None,
    log: bool | None,
    dry_run: bool,
    no_stream: bool,
    as_json: bool,
    explain: bool,
    trace: str | None,
    timeout: float | None,
    sandbox: bool,
    config: str | None,
    env_file: str,
) -> None:
    """Send PROMPT to a model, and print its answer.

    Text from stdin goes before PROMPT. The model is the one of -m, else of the
    variable TURNOUT_MODEL, else of `turnout config set model`.

    \b
    Examples:
      turnout chat "Why do railway points freeze?" -m openai/gpt-4o-mini
      cat notes.txt | turnout chat "Summarize this." -s "Be brief."
      turnout chat "Describe this picture." -a yard.jpg
      turnout chat -c "And in one sentence?"
      turnout chat "Write a shell loop." -x > loop.sh
      turnout chat "Invent a dog." --schema "name, age int"
      turnout chat hello -o temperature 0 -o max_tokens 50 -u
    """
    question = read_question(prompt, attachments)
    response_format = response_format_of(schema, strict=strict)
    path = conversations_file(user_folder())
    prices = usage or as_json or dry_run
    opened = open_session(config, env_file, sandbox=sandbox, prices=prices, trace=trace)
    with one_line(explain, as_json), opened as session:
        so_far = _conversation(path, conversation, goes_on=goes_on, sandbox=sandbox)
        if not models and so_far.model and not sandbox:
            models = [ModelConfig.parse(so_far.model)]
        chosen = with_settings(choose_models(session, models), options)
        added = (*_system(so_far, system, session), question)
        request = ChatRequest(
            chosen[0], _in_order([*so_far.messages, *added]), fallbacks=chosen[1:], response_format=response_format
        )
        if dry_run:
            print_plan(session, request, as_json=as_json)
            return
        wanted = Wanted(
            stream=not (no_stream or as_json or extract),
            collect=not no_stream,
            as_json=as_json,
            extract=extract,
            usage=usage,
            explain=explain,
            timeout=timeout,
            log=session.defaults.log if log is None else log,
        )

        def broken(part: ChatResponse, reason: BaseException) -> None:
            if wanted.log and (part.text or part.refusal):
                _keep_incomplete(path, so_far, added, part, reason)

        reply = _ask(session, request, wanted, so_far, broken)
        if wanted.log:
            _keep(path, so_far, added, reply)
    if extract and not as_json:
        _print_code(reply)


def _conversation(path: Path, name: str | None, *, goes_on: bool, sandbox: bool) -> Conversation:
    if name is None and not goes_on:
        return Conversation.new(sandbox=sandbox)
    found = last_conversation(path, name)
    if found is None and name is not None:
        raise WrongUsage(f"no conversation has the id {name!r}; turnout logs lists them")
    if found is None:
        click.echo("turnout: there is no conversation to continue; this starts one", err=True)
    if found is not None and found.is_of_sandbox != sandbox:
        # Else a provider would receive invented answers as its own, or the sandbox a real conversation.
        told = "add --sandbox" if found.is_of_sandbox else "it cannot be continued with --sandbox"
        by = "the sandbox" if found.is_of_sandbox else "a provider"
        raise WrongUsage(
            f"{by} answered the conversation {found.id}: {told}; another one is --conversation ID (turnout logs)"
        )
    return found or Conversation.new(sandbox=sandbox)


def _system(so_far: Conversation, system: str | None, session: Session) -> tuple[Message, ...]:
    """Return the system message to add. A conversation that has one keeps it, unless the option gives another."""
    if system is None and so_far.messages:
        return ()
    text = system if system is not None else session.defaults.system
    if not text or any(message.role is Role.SYSTEM and message.text == text for message in so_far.messages):
        return ()
    return (Message.system(text),)


def _in_order(messages: list[Message]) -> list[Message]:
    """Return the messages with the newest system message first, and without older ones."""
    newest = [message for message in messages if message.role is Role.SYSTEM][-1:]
    return [*newest, *(message for message in messages if message.role is not Role.SYSTEM)]


def _ask(
    session: Session,
    request: ChatRequest,
    wanted: Wanted,
    so_far: Conversation,
    broken: Callable[[ChatResponse, BaseException], None],
) -> ChatResponse:
    timeout = wanted.timeout if wanted.timeout is not None else session.defaults.timeout
    if wanted.stream:
        reply = print_stream(session.router, request, timeout, broken)
    else:
        try:
            # A stream whose failure has what came, unless --no-stream is given.
            reply = session.router.chat(request, timeout=timeout, collect=wanted.collect)
        except TurnoutError as error:
            if error.partial is not None:
                broken(error.partial, error)
            raise
        if wanted.as_json:
            fields: dict[str, Any] = {**reply_fields(reply), "conversation": so_far.id if wanted.log else None}
            if wanted.extract:
                fields["code"] = first_code_block(reply.text)
            if wanted.explain:
                fields["trace"] = reply.trace.to_dict()
            click.echo(json.dumps(fields, ensure_ascii=False))
        elif not wanted.extract:
            click.echo(printable(reply.text or reply.refusal or "").removesuffix("\n"))
    print_notes(reply, request.model)
    if wanted.usage:
        click.echo(f"turnout: {usage_line(reply)}", err=True)
    if wanted.explain:
        click.echo(f"\n{reply.trace.explain()}", err=True)
    return reply


def _keep_incomplete(
    path: Path, conversation: Conversation, added: tuple[Message, ...], part: ChatResponse, reason: BaseException
) -> None:
    if isinstance(reason, BrokenPipeError):
        _keep(path, conversation, added, part, "the output was closed")
        return
    why = " ".join(str(reason).split())
    if _keep(path, conversation, added, part, why or "interrupted"):
        click.echo("turnout: the incomplete answer is kept: chat -c continues after it (turnout logs)", err=True)


def _keep(
    path: Path,
    conversation: Conversation,
    added: tuple[Message, ...],
    reply: ChatResponse,
    incomplete: str | None = None,
) -> bool:
    """Keep the question and its answer. Return True if that succeeded."""
    try:
        is_new = keep(path, conversation, added, reply, incomplete=incomplete)
    except (ConversationsError, OSError) as error:
        message = reason_of(error) if isinstance(error, OSError) else str(error)
        click.echo(f"turnout: the conversation is not kept: {message}", err=True)
        return False
    if is_new:
        click.echo(
            f"turnout: conversations are kept in {path}, for chat -c and turnout logs;\n"
            "  turnout config set log false stops that",
            err=True,
        )
    return True


def _print_code(reply: ChatResponse) -> None:
    code = first_code_block(reply.text)
    if code is None:
        click.echo(printable(reply.text), err=True)
        raise CallFailed("the answer, printed above on stderr, has no code block")
    click.echo(printable(code), nl=False)
