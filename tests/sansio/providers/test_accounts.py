"""What a provider is made with: base URLs, keys, header fields, tokens; and that nothing shows a secret."""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import CapabilityUnsupported, ProviderError, TurnoutError
from turnout.http.origin import split_url
from turnout.messages import Message
from turnout.providers import CATALOG, base_urls, create
from turnout.providers.base_urls import InvalidBaseUrl, base_url_of
from turnout.providers.decoding.error_mapping import BODY_LIMIT, CODE_LIMIT, MESSAGE_LIMIT

KEY = "sk-very-secret-0123456789"


def url_of(name: str, model: str = "m", **settings: Any) -> str:
    request = ChatRequest(ModelConfig(name, model), [Message.user("x")])
    url: str = create(name, api_key=KEY, **settings).chat(request).request.url
    return url


# -- base URLs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "url"),
    [
        # Their own clients take these variables as hosts.
        ("groq", "https://api.groq.com", "https://api.groq.com/openai/v1/chat/completions"),
        ("groq", "http://127.0.0.1:9/", "http://127.0.0.1:9/openai/v1/chat/completions"),
        ("groq", "https://proxy.test/groq/v1", "https://proxy.test/groq/v1/chat/completions"),
        ("cerebras", "https://api.cerebras.ai", "https://api.cerebras.ai/v1/chat/completions"),
        ("together", "api.together.ai", "https://api.together.ai/v1/chat/completions"),
        ("together", None, "https://api.together.ai/v1/chat/completions"),
        ("openai", "http://localhost:8000", "http://localhost:8000/chat/completions"),
        # OLLAMA_HOST, as Ollama reads it.
        ("ollama", ":9999", "http://127.0.0.1:9999/api/chat"),
        ("ollama", "0.0.0.0", "http://127.0.0.1:11434/api/chat"),
        ("ollama", "0.0.0.0:80", "http://127.0.0.1:80/api/chat"),
        ("ollama", "[::]:9999", "http://[::1]:9999/api/chat"),
        ("ollama", "::1", "http://[::1]:11434/api/chat"),
        ("ollama", "box", "http://box:11434/api/chat"),
        ("ollama", "box.lan/path/", "http://box.lan:11434/path/api/chat"),
        ("ollama", "https://ollama.com", "https://ollama.com/api/chat"),
        ("ollama", '"127.0.0.1:1"', "http://127.0.0.1:1/api/chat"),
    ],
)
def test_the_base_url_that_a_variable_gives(name: str, given: str | None, url: str) -> None:
    assert url_of(name, base_url=given) == url


def test_the_variables_of_base_urls_and_tokens() -> None:
    from turnout.config.settings import Settings

    def built(env: dict[str, str], name: str) -> Any:
        return next(each.provider for each in Settings.from_env(env).build_providers() if each.provider.name == name)

    request = ChatRequest(ModelConfig("ollama", "m"), "x")
    for variable in ("OLLAMA_HOST", "OLLAMA_BASE_URL", "OLLAMA_API_BASE"):
        assert built({variable: "http://box:1"}, "ollama").chat(request).request.url == "http://box:1/api/chat"
    old = {"OPENAI_API_KEY": "k", "OPENAI_API_BASE": "http://old:1/v1"}
    chat = ChatRequest(ModelConfig("openai", "m"), "x")
    assert built(old, "openai").chat(chat).request.url == "http://old:1/v1/chat/completions"
    both = old | {"OPENAI_BASE_URL": "http://new:1/v1"}
    assert built(both, "openai").chat(chat).request.url == "http://new:1/v1/chat/completions"
    claude = built({"ANTHROPIC_AUTH_TOKEN": "t0ken"}, "anthropic")
    assert claude.missing_env == ()
    assert claude.chat(ChatRequest("anthropic/m", "x")).request.headers.get("authorization") == "Bearer t0ken"


OPERATIONS = [
    (name, end)
    for name in ("openai", "groq", "anthropic", "gemini", "ollama", "cohere")
    for end in base_urls._OPERATIONS[CATALOG[name].dialect]
]


@pytest.mark.parametrize(("name", "end"), OPERATIONS)
@pytest.mark.parametrize("base", ["", "https://proxy.test/llm", "http://127.0.0.1:8000"])
def test_the_path_of_an_operation_behind_a_base_url_is_not_written_twice(name: str, end: str, base: str) -> None:
    base = base or CATALOG[name].base_url
    assert url_of(name, base_url=f"{base}{end}/") == url_of(name, base_url=base)
    assert url_of(name, base_url=base_url_of(f"{base}{end}", CATALOG[name])) == url_of(name, base_url=base)


@pytest.mark.parametrize("text", ["", " ", "''"])
@pytest.mark.parametrize("name", ["openai", "ollama", "azure", "openai-compatible"])
def test_an_empty_base_url_is_not_the_vendor_s(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"the base URL of {name} is empty"):
        create(name, api_key="k", base_url=text)


def test_a_path_that_is_no_operation_stays_in_a_base_url() -> None:
    assert url_of("openai", base_url="https://x.test/api/v1") == "https://x.test/api/v1/chat/completions"
    assert url_of("deepinfra", base_url="https://x.test/v1/openai") == "https://x.test/v1/openai/chat/completions"


@pytest.mark.parametrize("name", ["openai", "ollama", "azure", "groq"])
@given(st.text("abc:/.[]@?#%\\ \r\n\t0é\u202e", max_size=20) | st.text(max_size=20))
def test_any_text_is_a_base_url_or_is_refused_without_quoting_it(name: str, text: str) -> None:
    try:
        url = base_url_of(text, CATALOG[name])
    except InvalidBaseUrl as error:
        if len(text.strip()) > 12:
            assert text.strip() not in str(error)
        return
    origin, _ = split_url(url)
    assert origin.port > 0
    assert url.isprintable()


@pytest.mark.parametrize(
    "url", ["http://x.test:0/v1", "http://x.test/../v1", "http://x.test/v1\r\nx: y", "http://x y/"]
)
def test_urls_that_would_go_elsewhere(url: str) -> None:
    with pytest.raises(ValueError, match="the base URL of openai"):
        create("openai", base_url=url)


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("bedrock", {"region": "us-east-1.evil.test/"}, "region"),
        ("bedrock", {"region": ""}, "region"),
        ("gemini", {"vertex_project": "p", "vertex_location": "eu.evil.test/x?"}, "vertex_location"),
        ("gemini", {"vertex_project": "p/../q"}, "vertex_project"),
    ],
)
def test_what_becomes_a_part_of_a_host_or_a_path_is_checked(name: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        create(name, api_key=KEY, **settings)
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize("model", [".", "..", "...", "a\nb"])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("gemini", {}),
        ("bedrock", {"region": "us-east-1"}),
        ("azure", {"base_url": "https://r.openai.azure.com", "api_version": "2024-10-21"}),
    ],
)
def test_a_model_s_id_is_no_step_to_another_path(name: str, settings: dict[str, str], model: str) -> None:
    with pytest.raises(CapabilityUnsupported, match="cannot be a step"):
        url_of(name, model, **settings)


# -- keys, header fields and tokens ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"api_key": 5}, "api_key must be a str, a function, a list or a mapping, not int"),
        ({"base_url": 5}, "base_url must be a str, not int"),
        ({"headers": {"X": 5}}, "'X' has a int"),
        ({"headers": {5: "x"}}, "has a int"),
        ({"api_key": "sk-a\r\nX: y"}, "api_key holds a line break"),
        ({"api_key": "sk-ключ"}, "api_key holds"),
        ({"headers": {"X": "a\r\nY: secret"}}, "the value of X holds a line break"),
        ({"headers": {"X Y": "a"}}, "is not the name of a header field"),
        ({"organization": "o\nX: y"}, "OpenAI-Organization holds a line break"),
        ({"reasoning_replay": "yes"}, "reasoning_replay must be one of"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(settings: dict[str, Any], words: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        create("openai", **settings)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini", "ollama"])
def test_a_user_s_header_field_replaces_ours(name: str) -> None:
    ours = {"anthropic": "x-api-key", "gemini": "x-goog-api-key"}.get(name, "authorization")
    fields = {ours.upper(): "mine", "CONTENT-TYPE": "application/json; charset=utf-8", "anthropic-Version": "2099"}
    headers = create(name, api_key=KEY, headers=fields).chat(ChatRequest(f"{name}/m", "x")).request.headers
    assert headers.get_all(ours) == ("mine",)
    assert headers.get_all("content-type") == ("application/json; charset=utf-8",)
    assert headers.get_all("anthropic-version") == ("2099",)


def test_anthropic_takes_a_bearer_token() -> None:
    calls = []

    def token() -> str:
        calls.append(1)
        return f"token-{len(calls)}"

    given = create("anthropic", api_key=KEY, access_token="t0ken").chat(ChatRequest("anthropic/m", "x")).request
    assert (given.headers.get("authorization"), given.headers.get("x-api-key")) == ("Bearer t0ken", None)
    request = create("anthropic", access_token=token).chat(ChatRequest("anthropic/m", "x")).request
    assert request.auth is not None
    signed = request.auth(request)
    assert signed.headers.get("authorization") == "Bearer token-1"  # type: ignore[union-attr]  # it is no awaitable


# -- secrets --------------------------------------------------------------------------------------------------------

PROVIDERS: list[tuple[str, dict[str, Any]]] = [
    *((name, {"api_key": KEY}) for name in CATALOG if name not in ("azure", "bedrock", "openai-compatible")),
    ("azure", {"api_key": KEY, "base_url": "https://r.openai.azure.com"}),
    ("azure", {"access_token": KEY, "base_url": "https://r.openai.azure.com"}),
    ("azure", {"access_token": lambda: KEY, "base_url": "https://r.openai.azure.com"}),
    ("bedrock", {"api_key": KEY, "region": "us-east-1"}),
    ("openai-compatible", {"api_key": KEY, "base_url": "http://localhost:1/v1"}),
    ("openai-compatible", {"headers": {"X-Own": KEY}, "base_url": "http://localhost:1/v1"}),
    ("openai-compatible", {"headers": {"Authorization": f"Basic {KEY}"}, "base_url": "http://localhost:1/v1"}),
    ("openai", {"api_key": KEY, "api": "responses"}),
    ("anthropic", {"access_token": KEY}),
    ("anthropic", {"access_token": lambda: KEY}),
    ("gemini", {"access_token": lambda: KEY, "vertex_project": "p"}),
]
ECHOES = [
    (401, json.dumps({"error": {"message": f"wrong key {KEY}", "code": KEY, "request_id": KEY}})),
    (500, f"<html><title>{KEY}</title></html>"),
    (404, f"no route for {KEY}"),
    (200, f"you sent {KEY}"),
    (200, json.dumps({"error": {"message": KEY}})),
    (200, json.dumps({"choices": None, "x": KEY})),
    (200, f'data: {{"error": {{"message": "{KEY}"}}}}\n\n'),
]


@pytest.mark.parametrize("size", [CODE_LIMIT, MESSAGE_LIMIT, BODY_LIMIT])
def test_a_key_that_is_echoed_again_and_again_is_not_shown_in_part(size: int) -> None:
    # Each becomes three characters, so that the place of a cut moves.
    for times in range(3):
        text = "x" * times * 7 + KEY * (size // 2)
        exchange = create("openai", api_key=KEY).chat(ChatRequest("openai/m", "x"))
        exchange.receive_head(500, [("x-request-id", text[: 8 * size])])
        exchange.receive_data(json.dumps({"error": {"message": text, "code": text}}).encode())
        exchange.receive_end()
        assert not any(KEY[:8] in str(value) for value in vars(exchange.failure).values())


def test_a_redirect_shows_no_key() -> None:
    exchange = create("openai", api_key=KEY).chat(ChatRequest("openai/m", "x"))
    exchange.receive_head(302, [("x-request-id", KEY), ("location", f"https://x.test/{KEY}?key={KEY}")])
    exchange.receive_end()
    assert "https://x.test/***" in str(exchange.failure)
    assert KEY not in str(vars(exchange.failure))


def signed(exchange: Any) -> None:
    """Let a token be put on the request, as a driver does before it sends it."""
    request = exchange.request
    if request.auth is not None:
        request.auth(request)


@pytest.mark.parametrize(
    ("name", "settings"), PROVIDERS, ids=[f"{at}-{name}" for at, (name, _) in enumerate(PROVIDERS)]
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_a_server_echoes_is_shown_without_secrets(name: str, settings: dict[str, Any], stream: bool) -> None:
    provider: Any = create(name, **settings)
    request = ChatRequest(ModelConfig(name, "m"), [Message.user("x")])
    for status, body in ECHOES:
        exchange = (provider.stream if stream else provider.chat)(request)
        signed(exchange)
        exchange.receive_head(status, [("x-request-id", f"id-{KEY}"), ("retry-after", f"later {KEY}")])
        exchange.receive_data(body.encode())
        exchange.receive_end()
        error: TurnoutError | None = exchange.failure
        assert error is not None, body
        shown = [str(error), repr(error), *map(str, vars(error).values())]
        assert not any("secret" in text for text in shown), (status, body, shown)
        if isinstance(error, ProviderError) and status != 200:
            assert error.request_id == "id-***"


def test_the_request_id_of_a_good_response_is_shown_without_secrets() -> None:
    exchange = create("openai", api_key=KEY, api="chat").chat(ChatRequest("openai/m", "x"))
    exchange.receive_head(200, [("x-request-id", KEY)])
    exchange.receive_data(json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}).encode())
    exchange.receive_end()
    assert exchange.result.request_id == "***"


@pytest.mark.parametrize(
    ("name", "settings"), PROVIDERS, ids=[f"{at}-{name}" for at, (name, _) in enumerate(PROVIDERS)]
)
def test_no_repr_shows_a_secret(name: str, settings: dict[str, Any]) -> None:
    provider: Any = create(name, **settings)
    exchange = provider.chat(ChatRequest(ModelConfig(name, "m"), [Message.user("x")]))
    request = exchange.request
    sent = request.auth(request) if request.auth is not None else request
    for value in (
        provider,
        provider.account,
        exchange,
        request,
        request.headers,
        sent,
        provider.redactor,
        list(sent.headers),
    ):
        assert "secret" not in repr(value)


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": KEY, "unknown": 1},
        {"api_key": KEY, "base_url": f"http://x.test/?key={KEY}"},
        {"api_key": f"{KEY}\n{KEY}"},
        {"api_key": KEY, "headers": {"x": f"{KEY}\n{KEY}"}},
        {"api_key": KEY, "headers": {"authorization": KEY}, "unsupported": "maybe"},
    ],
)
def test_the_local_variables_of_a_traceback_show_no_secret(settings: dict[str, Any]) -> None:
    try:
        create("openai", **settings)
    except ValueError as error:
        summary = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), capture_locals=True)
        ours = [frame for frame in summary if "/turnout/" in frame.filename]
        assert ours
        for frame in ours:
            assert "secret" not in str(frame.locals), (frame.name, frame.locals)
    else:
        pytest.fail("it was made")
