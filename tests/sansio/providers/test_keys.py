"""Several keys of one provider, and keys that a function returns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from turnout.chat import ChatRequest
from turnout.providers import CATALOG, create
from turnout.providers.keys import KeyedProvider

KEYED = [name for name, spec in CATALOG.items() if spec.needs_key]
OPTIONS: dict[str, dict[str, Any]] = {
    "azure": {"base_url": "https://shop.openai.azure.com"},
    "bedrock": {"region": "us-east-1"},
    "openai-compatible": {"base_url": "https://llm.test/v1"},
}


def signed(provider: Any) -> dict[str, str]:
    """Return the header fields of a chat request, with those of its `auth`."""
    request = provider.chat(ChatRequest(f"{provider.name}/m", "x")).request
    if request.auth is not None:
        request = request.auth(request)
    return {name.lower(): str(value) for name, value in request.headers}


@pytest.mark.parametrize("name", KEYED)
def test_a_key_of_a_function_is_sent_like_a_fixed_one(name: str) -> None:
    options = OPTIONS.get(name, {})
    fixed = create(name, api_key="sk-first-key", **options)
    from_function = create(name, api_key=lambda: "sk-first-key", **options)
    assert from_function.missing_env == fixed.missing_env == ()
    assert signed(from_function) == signed(fixed)
    assert "sk-first-key" in " ".join(signed(from_function).values())
    assert "sk-first-key" in from_function.secrets  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", KEYED)
def test_a_provider_can_be_used_with_another_key(name: str) -> None:
    provider: Any = create(name, **OPTIONS.get(name, {}))
    assert signed(provider.with_key("sk-second-key")) == signed(
        create(name, api_key="sk-second-key", **OPTIONS.get(name, {}))
    )


def test_the_function_is_called_for_each_request() -> None:
    keys = iter(["sk-one-one", "sk-two-two"])
    provider = create("openai", api_key=lambda: next(keys))
    assert [signed(provider)["authorization"] for _ in range(2)] == ["Bearer sk-one-one", "Bearer sk-two-two"]
    assert provider.secrets == ("sk-one-one", "sk-two-two")  # type: ignore[attr-defined]


def test_the_function_may_be_async() -> None:
    async def key() -> str:
        return "sk-async-key"

    async def main() -> dict[str, str]:
        request = create("groq", api_key=key).chat(ChatRequest("groq/m", "x")).request
        assert request.auth is not None
        signed: Any = request.auth(request)
        return dict((await signed).headers)

    assert asyncio.run(main())["Authorization"] == "Bearer sk-async-key"


@pytest.mark.parametrize("wrong", [lambda: "", lambda: None, lambda: "two\nlines", lambda: 3])
def test_a_function_without_a_usable_key_is_an_error_without_the_key(wrong: Callable[[], Any]) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        signed(create("openai", api_key=wrong))
    assert "two" not in str(caught.value)


def test_several_keys_are_numbered_or_named() -> None:
    numbered = create("openai", api_key=["sk-one-one", "sk-two-two"])
    named = create("openai", name="work", api_key={"team-a": "sk-one-one", "team-b": lambda: "sk-two-two"})
    assert isinstance(numbered, KeyedProvider)
    assert isinstance(named, KeyedProvider)
    assert [account.name for account in numbered.accounts] == ["openai#1", "openai#2"]
    assert [account.name for account in named.accounts] == ["work#team-a", "work#team-b"]
    assert [signed(account)["authorization"] for account in named.accounts] == [
        "Bearer sk-one-one",
        "Bearer sk-two-two",
    ]
    assert "sk-one" not in repr(numbered) + repr(named)
    assert create("openai", api_key=["sk-one-one"]).name == "openai"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([], "api_key holds no key"),
        ({}, "api_key holds no key"),
        (["sk-one-one", ""], "api_key['2'] is empty"),
        (["sk-one-one", "sk-one-one"], "api_key['2'] is the same key as api_key['1']"),
        (["sk-one-one", 3], "api_key['2'] must be a str"),
        ({"a/b": "sk-one-one"}, "the name 'a/b' of a key"),
        ({"": "sk-one-one"}, "the name '' of a key"),
        (b"sk-one-one", "api_key must be a str, a function, a list or a mapping, not bytes"),
        (7, "api_key must be a str, a function, a list or a mapping, not int"),
        ("os.environ/OPENAI_API_KEY", 'write os.environ["OPENAI_API_KEY"] in code, or ${OPENAI_API_KEY} in a file'),
    ],
)
def test_wrong_keys_are_refused_without_the_key(keys: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        create("openai", api_key=keys)
    assert message in str(caught.value)
    assert "sk-one" not in str(caught.value)
