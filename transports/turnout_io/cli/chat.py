"""`turnout demo | chat | embed | models`: the commands that ask a provider."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from turnout.chat import ChatRequest, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.messages import Message
from turnout.trace import Trace
from turnout_io.cli.errors import one_line
from turnout_io.cli.options import CONFIG, ENV_FILE, EXPLAIN, JSON, MODELS, TIMEOUT
from turnout_io.cli.router import default_models, user_router

if TYPE_CHECKING:
    from turnout_io.sync import Router

__all__ = ["chat", "demo", "embed", "models"]

SHOWN_NUMBERS = 8


@click.command()
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
    with Sandbox(token_interval=interval) as sandbox, one_line():
        sandbox.script("openai", Fault(status=503), forever=True)
        with Router.from_env(environ=sandbox.environ(), dotenv=None, max_retries=1) as router:
            trace = print_stream(router, request, None)
    if trace is not None:
        click.echo(f"\nWhat happened:\n{trace.explain()}")


@click.command()
@click.argument("prompt")
@MODELS
@click.option("--system", help="Instructions that go before the prompt.")
@click.option("--no-stream", is_flag=True, help="Print the answer when it is whole.")
@TIMEOUT
@EXPLAIN
@CONFIG
@ENV_FILE
@JSON
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
    with one_line(explain), user_router(config, env_file, sandbox=not models) as router:
        if not models:
            models = default_models(router)
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
                            "trace": trace.to_dict() if explain else None,
                        },
                        ensure_ascii=False,
                    )
                )
            else:
                click.echo(reply.text)
        else:
            trace = print_stream(router, request, timeout)
        if explain:
            click.echo(f"\n{trace.explain()}", err=True)


@click.command()
@click.argument("texts", nargs=-1, required=True)
@MODELS
@TIMEOUT
@CONFIG
@ENV_FILE
@JSON
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
    with one_line(), user_router(config, env_file, sandbox=False) as router:
        vectors = router.embed(EmbeddingRequest(models[0], texts), timeout=timeout).vectors
        if as_json:
            click.echo(json.dumps(vectors.tolist()))
            return
        for text, vector in zip(texts, vectors, strict=True):
            numbers = ", ".join(f"{number:.4f}" for number in vector[:SHOWN_NUMBERS])
            more = ", …" if len(vector) > SHOWN_NUMBERS else ""
            click.echo(f"{text!r}: {len(vector)} dimensions [{numbers}{more}]")


@click.command()
@click.argument("provider")
@TIMEOUT
@CONFIG
@ENV_FILE
def models(provider: str, timeout: float | None, config: str | None, env_file: str) -> None:
    """List the models that PROVIDER says it offers."""
    with one_line(), user_router(config, env_file, sandbox=False) as router:
        for info in router.models(provider, timeout=timeout):
            window = f"  {info.context_window} tokens" if info.context_window else ""
            click.echo(f"{provider}/{info.id}{window}")


def print_stream(router: Router, request: ChatRequest, timeout: float | None) -> Trace:
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
