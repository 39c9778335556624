"""The command line: `turnout demo | chat | embed | models | providers | sandbox`.

Exit codes: 0; 1 for a call that failed, with one line on stderr; 2 for bad usage; 130 for Ctrl-C.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

try:
    import click
except ImportError:  # pragma: no cover - said to the user by a process of its own
    sys.exit('turnout: the command line needs its extra: pip install "turnout[cli]"')

from turnout.chat import Capability, ChatRequest, ModelConfig, ProviderStatus
from turnout.embeddings import EmbeddingRequest
from turnout.errors import TurnoutError
from turnout.messages import Message
from turnout.routing.trace import Trace

if TYPE_CHECKING:
    from turnout_io.sync import Router

__all__ = ["main", "markdown_matrix"]

SHOWN_NUMBERS = 8


class _Failed(click.ClickException):
    """A failed call: one line, and exit code 1."""

    def show(self, file: Any = None) -> None:
        click.echo(f"turnout: {' '.join(self.message.split())}", err=True)


@contextlib.contextmanager
def _one_line(explain: bool = False) -> Iterator[None]:
    """A failed call ends the program with one clear line, and its trace where that was asked for."""
    try:
        yield
    except TurnoutError as error:
        if explain and error.trace is not None:
            click.echo(f"\n{error.trace.explain()}", err=True)
        raise _Failed(str(error)) from error
    except (ValueError, TypeError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise _Failed(str(error)) from error


def _model(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[ModelConfig]:
    try:
        return [ModelConfig.parse(value) for value in values]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


_MODELS = click.option(
    "-m", "--model", "models", multiple=True, callback=_model, metavar="PROVIDER/MODEL",
    help="The model to ask; more of them are fallbacks, in order.",
)  # fmt: skip
_CONFIG = click.option("--config", type=click.Path(dir_okay=False, exists=True), help="A YAML file of settings.")
_ENV_FILE = click.option("--env-file", default=".env", show_default=True, help="A file of variables; may be absent.")
_TIMEOUT = click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds for the whole call.")
_EXPLAIN = click.option("--explain", is_flag=True, help="Tell on stderr what was tried, and why.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="turnout")
def cli() -> None:
    """Send an LLM request to the right provider, and on to the next one when that track is closed."""


@cli.command()
@click.option("--interval", default=0.03, show_default=True, type=click.FloatRange(min=0), help="Seconds per token.")
def demo(interval: float) -> None:
    """No key, no network: the first provider fails, the second answers, and the trace tells why."""
    from turnout_io.sandbox import Fault, Sandbox
    from turnout_io.sync import Router

    request = ChatRequest(
        ModelConfig("openai", "gpt-4o-mini"),
        [Message.user("Recommend a cheap, fast model.")],
        fallbacks=[ModelConfig("gemini", "gemini-2.5-flash")],
    )
    click.echo("A sandbox on this machine plays the providers. OpenAI is down; Gemini is the fallback.\n")
    with Sandbox(token_interval=interval) as sandbox, _one_line():
        sandbox.script("openai", Fault(status=503), forever=True)
        with Router.from_env(environ=sandbox.environ(), dotenv=None, retries=1) as router:
            trace = _stream(router, request, None)
    if trace is not None:
        click.echo(f"\nWhat happened:\n{trace.explain()}")


@cli.command()
@click.argument("prompt")
@_MODELS
@click.option("--system", help="Instructions that go before the prompt.")
@click.option("--no-stream", is_flag=True, help="Print the answer when it is whole.")
@_TIMEOUT
@_EXPLAIN
@_CONFIG
@_ENV_FILE
@_JSON
def chat(
    prompt: str,
    models: list[ModelConfig],
    system: str | None,
    no_stream: bool,
    timeout: float | None,
    explain: bool,
    config: str | None,
    env_file: str,
    as_json: bool,
) -> None:
    """Ask PROMPT, or what comes on stdin where PROMPT is "-"."""
    text = sys.stdin.read() if prompt == "-" else prompt
    with _one_line(explain), _router(config, env_file, sandbox=not models) as router:
        if not models:
            models = _defaults(router)
        messages = [Message.system(system)] if system else []
        request = ChatRequest(models[0], [*messages, Message.user(text)], fallbacks=models[1:])
        if as_json or no_stream:
            reply = router.chat(request, timeout=timeout)
            trace = reply.trace
            if as_json:
                click.echo(
                    json.dumps(
                        {
                            "model": str(reply.model),
                            "text": reply.text,
                            "finish_reason": reply.finish_reason,
                            "prompt_tokens": reply.usage.prompt_tokens,
                            "completion_tokens": reply.usage.completion_tokens,
                            "trace": trace.to_dict() if trace is not None and explain else None,
                        },
                        ensure_ascii=False,
                    )
                )
            else:
                click.echo(reply.text)
        else:
            trace = _stream(router, request, timeout)
        if explain and trace is not None:
            click.echo(f"\n{trace.explain()}", err=True)


@cli.command()
@click.argument("texts", nargs=-1, required=True)
@_MODELS
@_TIMEOUT
@_CONFIG
@_ENV_FILE
@_JSON
def embed(
    texts: tuple[str, ...],
    models: list[ModelConfig],
    timeout: float | None,
    config: str | None,
    env_file: str,
    as_json: bool,
) -> None:
    """Turn each of TEXTS into a vector."""
    if len(models) != 1:
        raise click.UsageError("embed needs one -m: vectors of different models cannot be mixed")
    with _one_line(), _router(config, env_file, sandbox=False) as router:
        vectors = router.embed(EmbeddingRequest(models[0], texts), timeout=timeout).vectors
        if as_json:
            click.echo(json.dumps(vectors.tolist()))
            return
        for text, vector in zip(texts, vectors, strict=True):
            numbers = ", ".join(f"{number:.4f}" for number in vector[:SHOWN_NUMBERS])
            more = ", …" if len(vector) > SHOWN_NUMBERS else ""
            click.echo(f"{text!r}: {len(vector)} dimensions [{numbers}{more}]")


@cli.command()
@click.argument("provider")
@_TIMEOUT
@_CONFIG
@_ENV_FILE
def models(provider: str, timeout: float | None, config: str | None, env_file: str) -> None:
    """List the models that PROVIDER says it offers."""
    with _one_line(), _router(config, env_file, sandbox=False) as router:
        for info in router.models(provider, timeout=timeout):
            window = f"  {info.context_window} tokens" if info.context_window else ""
            click.echo(f"{provider}/{info.id}{window}")


@cli.command()
@click.option("--markdown", is_flag=True, help="Print the table of capabilities in Markdown.")
@_CONFIG
@_ENV_FILE
def providers(markdown: bool, config: str | None, env_file: str) -> None:
    """Show every provider: whether it can be used, what is missing, and what it offers."""
    if markdown:
        click.echo(markdown_matrix(), nl=False)
        return
    from rich.console import Console
    from rich.table import Table

    with _one_line(), _router(config, env_file, sandbox=False) as router:
        table = Table(box=None, pad_edge=False)
        for column in ("provider", "status", "missing"):
            table.add_column(column, no_wrap=True)
        table.add_column("offers")
        for status in router.statuses():
            table.add_row(status.provider, status.status, ", ".join(status.missing_env), ", ".join(_offers(status)))
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)


@cli.command()
@click.option("--port", default=8089, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--script", type=click.Path(dir_okay=False, exists=True), help="Faults to play, in YAML or JSON.")
@click.option("--token-interval", default=0.03, show_default=True, type=click.FloatRange(min=0), help="In seconds.")
def sandbox(port: int, script: str | None, token_interval: float) -> None:
    """Play the providers on this machine until Ctrl-C, for your own programs to talk to."""
    from turnout_io.sandbox import serve

    with _one_line():
        serve(port, script, token_interval=token_interval)


# -- what the commands share ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _router(config: str | None, env_file: str, *, sandbox: bool) -> Iterator[Router]:
    """The user's router; where nothing is configured and no model was named, one over a sandbox."""
    from turnout_io.sync import Router

    made = Router.from_config(config, dotenv=env_file) if config else Router.from_env(dotenv=env_file)
    with made as router:
        if not sandbox or any(_usable(status) for status in router.statuses()):
            yield router
            return
    from turnout_io.sandbox import Sandbox

    click.echo("turnout: no provider is configured, so a sandbox answers; `turnout providers` says more", err=True)
    with Sandbox() as server, Router.from_env(environ=server.environ(), dotenv=None) as router:
        yield router


# What is asked where the user names no model: a small one of each provider, in the catalog's order.
_DEFAULTS = {
    "openai": "gpt-4o-mini",
    "gemini": "gemini-2.5-flash",
    "glm4": "glm-4.5-flash",
    "openrouter": "openrouter/auto",
    "siliconflow": "Qwen/Qwen3-8B",
    "cerebras": "llama3.1-8b",
    "modelscope": "Qwen/Qwen3-8B",
    "groq": "llama-3.1-8b-instant",
    "anthropic": "claude-haiku-4-5",
}


def _usable(status: ProviderStatus) -> bool:
    # A server of one's own needs no key, so that it could be used says nothing about whether it runs.
    return status.status == "available" and status.provider in _DEFAULTS


def _defaults(router: Router) -> list[ModelConfig]:
    usable = [status.provider for status in router.statuses() if _usable(status)]
    return [ModelConfig(name, _DEFAULTS[name]) for name in usable]


def _stream(router: Router, request: ChatRequest, timeout: float | None) -> Trace | None:
    """Print the answer as it comes."""
    with router.stream(request, timeout=timeout) as stream:
        try:
            for event in stream:
                if event.type == "token":
                    click.echo(event.delta, nl=False)
                    sys.stdout.flush()
                elif event.type == "restarted":
                    click.echo("\n[the answer broke off, and begins again]")
        finally:
            # A line that was begun is ended, also by Ctrl-C: the prompt comes on a line of its own.
            click.echo()
        return stream.trace


_COLUMNS = {
    Capability.CHAT: "chat",
    Capability.STREAM: "stream",
    Capability.TOOLS: "tools",
    Capability.JSON: "JSON",
    Capability.VISION: "images",
    Capability.REASONING: "reasoning",
    Capability.EMBEDDINGS: "embeddings",
    Capability.MODELS: "models",
}


def _offers(status: ProviderStatus) -> list[str]:
    return [title for capability, title in _COLUMNS.items() if capability in status.capabilities]


def markdown_matrix() -> str:
    """The catalog as a Markdown table, for the README."""
    from turnout.providers import CATALOG

    lines = [
        f"| provider | name | {' | '.join(_COLUMNS.values())} | key |",
        f"|---|---|{'---|' * len(_COLUMNS)}---|",
    ]
    for entry in CATALOG.values():
        cells = ["✓" if capability in entry.capabilities else "" for capability in _COLUMNS]
        key = f"`{entry.key_env[0]}`" if entry.needs_key else "none"
        lines.append(f"| {entry.title} | `{entry.name}` | {' | '.join(cells)} | {key} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command line."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read our output has gone; nothing is left to tell them.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
