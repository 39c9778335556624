"""Providers without a key in a router of the whole catalog: known, and loaded only when they are used."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest

from turnout.chat import ChatRequest
from turnout.config.settings import Settings
from turnout.providers import CATALOG, create
from turnout.providers.keys import with_key
from turnout.providers.unconfigured import UnconfiguredProvider, missing_variables

FACTS = (
    "name", "capabilities", "missing_env", "embedding_batch", "scopes", "idempotency_header", "family",
    "sends_key_in_clear",
)  # fmt: skip
BUILT = {one.provider.name: one.provider for one in Settings.from_env({}).build_providers()}


@pytest.mark.parametrize("name", CATALOG)
def test_the_facts_are_those_of_the_provider(name: str) -> None:
    real = create(name)
    assert missing_variables(CATALOG[name]) == real.missing_env
    assert isinstance(BUILT[name], UnconfiguredProvider) is bool(real.missing_env)
    for fact in FACTS:
        assert getattr(BUILT[name], fact) == getattr(real, fact), fact
    assert BUILT[name].facts("m") == real.facts("m")


@pytest.mark.parametrize("name", ["openai", "gemini", "anthropic", "cohere"])
def test_one_that_is_used_is_the_provider(name: str) -> None:
    request = ChatRequest(f"{name}/m", "hi")
    assert BUILT[name].chat(request).request == create(name).chat(request).request
    keyed = with_key(BUILT[name], "k")
    assert keyed is not None
    assert keyed.missing_env == ()
    assert keyed.name == name


@pytest.mark.parametrize("variables", [{"OPENAI_ENDPOINT": "http://127.0.0.1:9/v1"}, {"OPENAI_API_KEY": ""}], ids=str)
def test_settings_without_the_key_say_where_keys_are_read(variables: dict[str, str]) -> None:
    """`create` has no part in it, so its error would mislead."""
    section = {"providers": {"openai": {"unsupported": "drop", "headers": {"x-team": "a"}}}}
    for settings in (Settings.from_env(variables), Settings.from_mapping(section, variables)):
        (provider,) = (one.provider for one in settings.build_providers() if one.provider.name == "openai")
        assert isinstance(provider, UnconfiguredProvider)
        assert provider.missing_env == ("OPENAI_API_KEY",)
    keyed = with_key(provider, "k")
    assert keyed is not None
    assert ("x-team", "a") in tuple(keyed.chat(ChatRequest("openai/m", "hi")).request.headers)


def test_it_can_be_copied_and_shown_without_loading_it() -> None:
    provider = Settings.from_env({}).build_providers()[0].provider
    assert isinstance(provider, UnconfiguredProvider)
    assert copy.copy(provider).name == provider.name
    assert provider.name in repr(provider)
    assert not provider._loaded
    with pytest.raises(AttributeError):
        _ = provider.nothing_like_it


@pytest.mark.parametrize(
    ("env", "given"),
    [({"GEMINI_API_KEY": "k"}, "gemini"), ({"ANTHROPIC_API_KEY": "k"}, "anthropic"), ({"CO_API_KEY": "k"}, "cohere")],
)
def test_only_the_dialects_of_configured_providers_are_loaded(env: dict[str, str], given: str) -> None:
    code = (
        "import sys\nfrom turnout.config.settings import Settings\n"
        f"Settings.from_env({env!r}).build_providers()\n"
        "print(*(name.split('.')[2] for name in sys.modules if name.endswith('.dialect')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    # Servers on this machine need no key: they speak chat completions, and Ollama's own dialect.
    loaded = set(done.stdout.split())
    assert given in loaded
    assert loaded <= {"openai_chat", "ollama", "dialect", given}
