"""The router that a command works with: the user's own, or one over a sandbox."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from turnout.chat import ModelConfig, ProviderStatus

if TYPE_CHECKING:
    from turnout_io.sync import Router

__all__ = ["default_models", "user_router"]


@contextlib.contextmanager
def user_router(config: str | None, env_file: str, *, sandbox: bool) -> Iterator[Router]:
    """The user's router; where nothing is configured and no model was named, one over a sandbox."""
    from turnout_io.sync import Router

    made = Router.from_config(config, dotenv=env_file) if config else Router.from_env(dotenv=env_file)
    with made as router:
        if not sandbox or any(configured(status) for status in router.statuses()):
            yield router
            return
    from turnout_io.sandbox import Sandbox

    click.echo("turnout: no provider is configured, so a sandbox answers; `turnout providers` says more", err=True)
    with Sandbox() as server, Router.from_env(environ=server.environ(), dotenv=None) as router:
        yield router


# What is asked where the user names no model: a small one of each provider, in the catalog's order.
DEFAULTS = {
    "openai": "gpt-4o-mini",
    "gemini": "gemini-2.5-flash",
    "glm4": "glm-4.5-flash",
    "openrouter": "openrouter/auto",
    "siliconflow": "Qwen/Qwen3-8B",
    "cerebras": "llama3.1-8b",
    "modelscope": "Qwen/Qwen3-8B",
    "groq": "llama-3.1-8b-instant",
    "anthropic": "claude-haiku-4-5",
    "mistral": "mistral-small-latest",
    "deepseek": "deepseek-chat",
    "xai": "grok-3-mini",
    "together": "meta-llama/Llama-3.3-70B-Instruct-Turbo",
    "cohere": "command-r7b-12-2024",
    "zai": "glm-4.5-flash",
}


def configured(status: ProviderStatus) -> bool:
    # A server of one's own needs no key, so that it could be used says nothing about whether it runs.
    return status.status == "available" and status.provider in DEFAULTS


def default_models(router: Router) -> list[ModelConfig]:
    usable = [status.provider for status in router.statuses() if configured(status)]
    return [ModelConfig(name, DEFAULTS[name]) for name in usable]
