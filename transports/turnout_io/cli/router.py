"""The router of a command, and the choice of its models."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import click

from turnout._utils.names import did_you_mean, vendor_of
from turnout.chat import ModelConfig, ProviderStatus
from turnout_io.cli.defaults import Defaults
from turnout_io.cli.errors import Unusable, WrongUsage
from turnout_io.files import load_settings, placed, read_variables

if TYPE_CHECKING:
    from turnout.config.settings import Settings
    from turnout.routing.policy.settings import Policy
    from turnout_io.sync import Router

__all__ = ["Session", "check_names", "choose_models", "configured", "no_provider", "open_session", "read_defaults"]


@attrs.frozen
class Session:
    """A router with the user's defaults, and the settings and the policy that it was made of."""

    router: Router
    defaults: Defaults
    settings: Settings
    policy: Policy


@contextlib.contextmanager
def open_session(
    config: str | None, env_file: str, *, sandbox: bool = False, prices: bool = False, trace: str | None = None
) -> Iterator[Session]:
    """Open the user's router, or one over a sandbox.

    Args:
        config: The file of settings.
        env_file: The file of variables.
        sandbox: Let a sandbox on this machine answer in place of the providers.
        prices: Whether costs are wanted. If the settings have no prices, those of the extra `prices` count.
        trace: A file to which the trace of each call is appended.
    """
    from turnout_io.recorder import TraceRecorder
    from turnout_io.sync import Router

    with contextlib.ExitStack() as stack:
        environ: dict[str, str] | None = None
        dotenv: str | None = env_file
        if sandbox:
            from turnout_io.sandbox import Sandbox

            config, dotenv, environ = None, None, stack.enter_context(Sandbox()).environ()
        settings = load_settings(config, dotenv=dotenv, environ=environ)
        overrides = listed_prices(settings) if prices else {}
        recorder = stack.enter_context(TraceRecorder(trace)) if trace is not None else None
        if config is not None:
            router = Router.from_config(config, dotenv=dotenv, on_trace=recorder, **overrides)
        else:
            router = Router.from_env(dotenv=dotenv, environ=environ, on_trace=recorder, **overrides)
        defaults = (
            Defaults(model=ModelConfig("openai", DEFAULTS["openai"]))
            if sandbox
            else read_defaults(settings.cli, env_file, config)
        )
        yield Session(stack.enter_context(router), defaults, settings, settings.policy(**overrides))


def read_defaults(section: Mapping[str, Any], env_file: str, config: str | None) -> Defaults:
    """Return the defaults of a section `cli` of the file `config`, and of the variables.

    Raises:
        SettingsError: If one of them cannot be used.
    """
    with placed(config):
        return Defaults.read(section, read_variables(env_file))


def listed_prices(settings: Settings) -> dict[str, Any]:
    """Return the prices of the extra `prices` as a field of the policy.

    Nothing if the settings have prices, or if the extra is not installed.
    """
    if settings.router.get("prices"):
        return {}
    try:
        from turnout_io.price_list import PriceList
    except ModuleNotFoundError:
        return {}
    return {"prices": PriceList()}


# A small model of each provider, in the catalog's order: suggestions, and never used without the user's choice.
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
    """Return True if the provider has its key. A local server needs none, which does not show that it runs."""
    return status.status == "available" and vendor_of(status.provider) in DEFAULTS


def choose_models(session: Session, given: Sequence[ModelConfig]) -> list[ModelConfig]:
    """Return the models of a call: those of -m, else the user's default.

    Raises:
        Unusable: If there is neither. The message lists the models that can be used.
    """
    if given:
        return list(given)
    defaults = session.defaults
    if defaults.model is not None:
        return [defaults.model, *defaults.fallbacks]
    raise _no_model(session)


def _no_model(session: Session) -> Unusable:
    from turnout.providers import CATALOG

    # Several keys of a provider are one choice.
    statuses = {vendor_of(one.provider): one for one in session.router.statuses() if one.status == "available"}
    routes = [f"route/{route.name}" for route in session.settings.routes]
    keyed = [f"{name}/{DEFAULTS[name]}" for name, status in statuses.items() if configured(status)]
    others = [
        f"{name}/MODEL  (turnout models {name} lists them)"
        for name, status in statuses.items()
        if not configured(status) and (name not in CATALOG or CATALOG[name].needs_key)
    ]
    choices = [*routes, *keyed, *others]
    if choices:
        first = next(iter([*routes, *keyed]), "PROVIDER/MODEL")
        listed = "\n".join(f"  {choice}" for choice in choices)
        return WrongUsage(
            f"no model is chosen. These can be used:\n{listed}\n"
            f"Give one with -m, or set a default: turnout config set model {first}"
        )
    return no_provider()


def check_names(session: Session, names: Sequence[str], command: str) -> None:
    """Refuse names that no provider has.

    Args:
        session: The router.
        names: The arguments of the command.
        command: Its name.

    Raises:
        click.UsageError: If there is no such provider. It names the one that was probably meant.
    """
    known = [status.provider for status in session.router.statuses()]
    for name in names:
        provider = name.partition("/")[0]
        if "/" in name and provider in known:
            raise click.UsageError(f"{name!r} is a model, and a provider is wanted here: turnout {command} {provider}")
        if name not in known:
            raise click.UsageError(f"there is no provider {name!r}{did_you_mean(name, known)}")


def no_provider() -> Unusable:
    """Return the error for a command that needs a provider, if none is configured."""
    return Unusable(
        "no provider is configured, so nothing was sent. Set a key, and choose a model:\n"
        "  export OPENAI_API_KEY=...     turnout chat -m openai/gpt-4o-mini PROMPT\n"
        "  export GEMINI_API_KEY=...     turnout chat -m gemini/gemini-2.5-flash PROMPT\n"
        "  export ANTHROPIC_API_KEY=...  turnout chat -m anthropic/claude-haiku-4-5 PROMPT\n"
        "A server on this machine needs no key: turnout chat -m ollama/MODEL PROMPT\n"
        "turnout providers lists all providers; turnout chat --sandbox PROMPT tries\n"
        "the command without one."
    )
