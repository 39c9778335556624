"""What each vendor of OpenAI's shape wants otherwise, as it is in the request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.chat import ChatRequest, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.errors import CapabilityUnsupported
from turnout.events import Event, Token
from turnout.http import HttpRequest
from turnout.messages import Message, Role, Text, Thinking, Tool, ToolCall, ToolChoice
from turnout.providers import CATALOG, create
from turnout.providers.protocol import Provider

WEATHER = Tool("weather", parameters={"type": "object", "properties": {}})
CALL = ToolCall(id="call_of_somebody_else", name="weather", arguments="{}")
OWN = ToolCall(id="D681PevKs", name="weather", arguments="{}")


def asked(provider: Provider, *messages: Message, model: str = "m", stream: bool = False, **fields: Any) -> HttpRequest:
    settings = {name: fields.pop(name) for name in list(fields) if name in ModelConfig.__annotations__}
    request = ChatRequest(ModelConfig(provider.name, model, **settings), messages or [Message.user("hi")], **fields)
    return (provider.stream(request) if stream else provider.chat(request)).request


def body(name: str, *messages: Message, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(asked(create(name, api_key="k"), *messages, **fields).body)
    return made


# -- Mistral -----------------------------------------------------------------------------------------------------------


def test_mistral_has_names_of_its_own() -> None:
    sent = body("mistral", seed=7, max_tokens=5, stop=["a", "b", "c", "d", "e"], stream=True)
    assert (sent["random_seed"], sent["max_tokens"], len(sent["stop"])) == (7, 5, 5)
    assert not {"seed", "stream_options"} & set(sent)
    request = EmbeddingRequest(ModelConfig("mistral", "mistral-embed"), ["x"], dimensions=8)
    assert json.loads(create("mistral", api_key="k").embed(request).request.body) == {
        "model": "mistral-embed",
        "input": ["x"],
        "output_dimension": 8,
    }


def test_mistral_gets_ids_as_its_own_are() -> None:
    turn = Message(Role.ASSISTANT, (Text(""),), tool_calls=[CALL, OWN])
    sent = body("mistral", Message.user("hi"), turn, Message.tool(CALL, "1"), Message.tool(OWN, "2"), tools=[WEATHER])
    called = [call["id"] for call in sent["messages"][1]["tool_calls"]]
    assert called == [message["tool_call_id"] for message in sent["messages"][2:]]
    assert called[1] == OWN.id
    assert all(len(id) == 9 and id.isalnum() for id in called)
    assert len(set(called)) == 2


def test_groq_takes_no_names() -> None:
    assert body("groq", Message(Role.USER, (Text("hi"),), name="Ada"))["messages"] == [
        {"role": "user", "content": "hi"}
    ]


@pytest.mark.parametrize("model", ["Qwen/Qwen3-32B", "Qwen/Qwen3-235B-A22B", "Qwen/Qwen3.5-27B"])
def test_modelscope_s_qwen_thinks_in_streams_only(model: str) -> None:
    assert body("modelscope", model=model)["enable_thinking"] is False
    assert body("modelscope", model=model, reasoning_effort="none")["enable_thinking"] is False
    assert "enable_thinking" not in body("modelscope", model=model, stream=True)
    assert body("modelscope", model=model, reasoning_effort="high", stream=True)["enable_thinking"] is True
    with pytest.raises(CapabilityUnsupported, match="thinks in streams only"):
        body("modelscope", model=model, reasoning_effort="high")
    dropping = create("modelscope", api_key="k", unsupported="drop")
    assert json.loads(asked(dropping, model=model, reasoning_effort="high").body)["enable_thinking"] is False
    assert body("modelscope", model=model, extra={"enable_thinking": True})["enable_thinking"] is True


@pytest.mark.parametrize("model", ["Qwen/Qwen3-235B-A22B-Thinking-2507", "Qwen/Qwen3-30B-A3B-Instruct-2507"])
def test_modelscope_s_models_of_one_mind_are_told_nothing(model: str) -> None:
    assert "enable_thinking" not in body("modelscope", model=model)


def test_mistral_takes_names_with_tools_only() -> None:
    assert "name" not in body("mistral", Message(Role.USER, "hi", name="ada"))["messages"][0]
    assert body("openai", Message(Role.USER, "hi", name="ada"))["messages"][0]["name"] == "ada"


# -- DeepSeek, xAI, Together -------------------------------------------------------------------------------------------


def test_deepseek_gets_its_reasoning_back() -> None:
    turn = Message(Role.ASSISTANT, (Thinking("hm"), Text("")), tool_calls=[CALL], origin="deepseek")
    sent = body("deepseek", Message.user("hi"), turn, Message.tool(CALL, "1"), tools=[WEATHER], reasoning_effort="high")
    assert sent["messages"][1]["reasoning_content"] == "hm"
    assert sent["thinking"] == {"type": "enabled"}
    foreign = Message(Role.ASSISTANT, turn.content, tool_calls=[CALL], origin="openrouter")
    sent = body("deepseek", Message.user("hi"), foreign, Message.tool(CALL, "1"), tools=[WEATHER])
    assert sent["messages"][1]["reasoning_content"] == "", "one must be there in a turn with calls, whoever made it"


def test_deepseek_gets_no_reasoning_of_turns_without_calls() -> None:
    def said(text: str, *calls: ToolCall) -> Message:
        return Message(Role.ASSISTANT, (Thinking(f"about {text}"), Text(text)), tool_calls=calls, origin="deepseek")

    first = [Message.user("hi"), said("hello")]
    second = [Message.user("the weather?"), said("let me see", CALL), Message.tool(CALL, "1"), said("it rains")]
    sent = body("deepseek", *first, *second, Message.user("thanks"), said("welcome"), Message.user("bye"))
    told = [message.get("reasoning_content") for message in sent["messages"] if message["role"] == "assistant"]
    assert told == [None, "about let me see", "about it rains", None]


@pytest.mark.parametrize(
    ("provider", "model", "effort", "sent"),
    [
        ("deepseek", "deepseek-v4-pro", "none", {"thinking": {"type": "disabled"}}),
        ("deepseek", "deepseek-v4-pro", "low", {"thinking": {"type": "enabled"}}),
        ("deepseek", "deepseek-v4-pro", "max", {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}),
        ("deepseek", "deepseek-chat", "max", {"thinking": {"type": "enabled"}}),
        ("glm4", "glm-4.6", "high", {"thinking": {"type": "enabled"}}),
        ("zai", "glm-5.2", "minimal", {"thinking": {"type": "enabled"}, "reasoning_effort": "minimal"}),
        ("mistral", "mistral-small-latest", "none", {"reasoning_effort": "none"}),
        ("xai", "grok-4.3", "none", {"reasoning_effort": "none"}),
        ("xai", "grok-3-mini", "high", {"reasoning_effort": "high"}),
        ("xai", "grok-3", None, {}),
        ("groq", "openai/gpt-oss-120b", "high", {"reasoning_effort": "high"}),
        ("groq", "qwen/qwen3-32b", "none", {"reasoning_effort": "none"}),
        ("groq", "qwen/qwen3-32b", "default", {"reasoning_effort": "default"}),
        ("groq", "qwen/qwen3.8-27b", "low", {"reasoning_effort": "low"}),
        ("cerebras", "zai-glm-4.7", "none", {"reasoning_effort": "none"}),
    ],
)
def test_an_effort_is_said_in_each_vendor_s_words(provider: str, model: str, effort: str, sent: dict[str, Any]) -> None:
    said = body(provider, model=model, reasoning_effort=effort)
    assert {name: said[name] for name in ("thinking", "reasoning_effort") if name in said} == sent


@pytest.mark.parametrize(
    ("provider", "model", "effort"),
    [
        ("zai", "glm-5.3", "none"),
        ("xai", "grok-code-fast-1", "low"),
        ("xai", "grok-3", "low"),
        ("xai", "grok-3-mini", "medium"),
        ("xai", "grok-4.5", "none"),
        ("openai", "gpt-5-mini", "none"),
        ("openai", "gpt-4o", "low"),
        ("openai", "ft:gpt-4.1-mini-2025-04-14:us::x", "low"),
        ("openai", "gpt-5-chat-latest", "low"),
        ("openai", "o3", "none"),
        ("azure", "gpt-5", "none"),
        ("groq", "openai/gpt-oss-20b", "none"),
        ("groq", "openai/gpt-oss-20b", "minimal"),
        ("groq", "qwen/qwen3-32b", "low"),
        ("cerebras", "gpt-oss-120b", "none"),
        ("cerebras", "gpt-oss-120b", "max"),
    ],
)
def test_an_effort_that_a_model_refuses_is_said_or_dropped(provider: str, model: str, effort: str) -> None:
    with pytest.raises(CapabilityUnsupported, match="reasoning_effort"):
        body(provider, model=model, reasoning_effort=effort)
    dropped = json.loads(
        asked(create(provider, api_key="k", unsupported="drop"), model=model, reasoning_effort=effort).body
    )
    assert not {"thinking", "reasoning_effort"} & set(dropped)


def test_deepseek_s_reasoner_chooses_its_tools_itself() -> None:
    with pytest.raises(CapabilityUnsupported, match="does not take the tool choice 'required'"):
        body("deepseek", model="deepseek-reasoner", tools=[WEATHER], tool_choice=ToolChoice("required"))
    chosen = body("deepseek", model="deepseek-chat", tools=[WEATHER], tool_choice=ToolChoice("required"))
    assert chosen["tool_choice"] == "required"


@pytest.mark.parametrize(
    ("provider", "model", "fields"),
    [
        ("deepseek", "deepseek-v4-pro", {"tools": [WEATHER], "tool_choice": ToolChoice.named("weather")}),
        ("deepseek", "deepseek-v4-pro", {"logprobs": 2}),
        ("openai", "gpt-5.6", {"temperature": 0.2}),
        ("openai", "gpt-5.5", {"top_p": 0.2}),
    ],
)
def test_models_that_think_unless_told_refuse_the_same_unasked(
    provider: str, model: str, fields: dict[str, Any]
) -> None:
    for effort in (None, "high"):
        with pytest.raises(CapabilityUnsupported):
            body(provider, model=model, reasoning_effort=effort, **fields)
    assert body(provider, model=model, reasoning_effort="none", **fields)


def test_the_newest_of_openai_s_models_knows_no_minimal_effort() -> None:
    with pytest.raises(CapabilityUnsupported, match="it knows low, medium, high, xhigh, max"):
        body("openai", model="gpt-5.6-sol", reasoning_effort="minimal")
    with pytest.raises(CapabilityUnsupported, match="it knows low, medium, high, xhigh, max"):
        asked(create("openai", api_key="k", api="responses"), model="gpt-5.6-sol", reasoning_effort="minimal")
    assert body("openai", model="gpt-5-mini", reasoning_effort="minimal")["reasoning_effort"] == "minimal"


@pytest.mark.parametrize("setting", [{"presence_penalty": 0.5}, {"frequency_penalty": 0.5}, {"stop": "x"}])
def test_grok_refuses_what_it_cannot_take_while_it_reasons(setting: dict[str, Any]) -> None:
    with pytest.raises(CapabilityUnsupported, match=next(iter(setting))):
        body("xai", model="grok-4-0709", **setting)
    assert body("xai", model="grok-2-1212", **setting)
    assert body("xai", model="grok-4-fast-non-reasoning", **setting)


def test_together_counts_its_log_probabilities() -> None:
    assert body("together", logprobs=3)["logprobs"] == 3
    assert body("together", logprobs=0)["logprobs"] == 1
    sent = body("openai", model="gpt-4o", logprobs=3)
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 3)


def test_glm_has_two_houses() -> None:
    assert asked(create("glm4", api_key="k")).url == "https://open.bigmodel.cn/api/paas/v4/chat/completions"
    assert asked(create("zai", api_key="k")).url == "https://api.z.ai/api/paas/v4/chat/completions"
    assert CATALOG["zai"].openai_compat == CATALOG["glm4"].openai_compat


# -- Azure -------------------------------------------------------------------------------------------------------------

RESOURCE = "https://acme.openai.azure.com"


@pytest.mark.parametrize("endpoint", [RESOURCE, f"{RESOURCE}/", f"{RESOURCE}/openai", f"{RESOURCE}/openai/v1/"])
@pytest.mark.parametrize(
    ("api", "version", "path"),
    [
        ("chat", None, "/openai/v1/chat/completions"),
        ("chat", "2024-10-21", "/openai/deployments/my%20model/chat/completions?api-version=2024-10-21"),
        ("responses", None, "/openai/v1/responses"),
        ("responses", "2025-04-01-preview", "/openai/responses?api-version=2025-04-01-preview"),
    ],
)
def test_azure_is_asked_at_its_resource(endpoint: str, api: Any, version: str | None, path: str) -> None:
    provider = create("azure", api_key="secret", base_url=endpoint, api=api, api_version=version)
    request = asked(provider, model="my model")
    assert request.url == RESOURCE + path
    assert request.headers.get("api-key") == "secret"
    assert request.headers.get("authorization") is None
    assert json.loads(request.body)["model"] == "my model"


@pytest.mark.parametrize(
    ("endpoint", "version", "url"),
    [
        (
            f"{RESOURCE}/openai/deployments/other/chat/completions?api-version=2024-10-21",
            None,
            f"{RESOURCE}/openai/deployments/m/chat/completions?api-version=2024-10-21",
        ),
        (f"{RESOURCE}/openai/v1/chat/completions", None, f"{RESOURCE}/openai/v1/chat/completions"),
        (f"{RESOURCE}/?api-version=2024-10-21", "v1", f"{RESOURCE}/openai/v1/chat/completions"),
        ("https://gateway.test/openai-eu", None, "https://gateway.test/openai-eu/openai/v1/chat/completions"),
    ],
)
def test_azure_s_endpoint_may_be_what_its_portal_shows(endpoint: str, version: str | None, url: str) -> None:
    assert asked(create("azure", api_key="k", base_url=endpoint, api_version=version)).url == url


def test_azure_s_embeddings_and_models() -> None:
    provider = create("azure", api_key="k", base_url=RESOURCE, api_version="2024-10-21")
    embedding = provider.embed(EmbeddingRequest(ModelConfig("azure", "ada"), ["x"])).request
    assert embedding.url == f"{RESOURCE}/openai/deployments/ada/embeddings?api-version=2024-10-21"
    assert provider.models().request.url == f"{RESOURCE}/openai/models?api-version=2024-10-21"


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_azure_takes_a_token_or_asks_for_one_each_time(api: Any) -> None:
    provider = create("azure", base_url=RESOURCE, api=api, access_token="t1")
    assert asked(provider).headers.get("authorization") == "Bearer t1"
    assert provider.missing_env == ()
    tokens = iter(["t2", "t3"])
    provider = create("azure", base_url=RESOURCE, api=api, access_token=lambda: next(tokens))
    for token in ("t2", "t3"):
        request = asked(provider)
        assert request.headers.get("authorization") is None
        assert request.auth is not None
        signed = request.auth(request)
        assert isinstance(signed, HttpRequest)
        assert signed.headers.get("authorization") == f"Bearer {token}"
    assert "t1" not in repr(create("azure", base_url=RESOURCE, access_token="t1"))


def test_azure_says_what_is_missing() -> None:
    assert create("azure").missing_env == ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT")
    assert create("azure", api_key="k", base_url=RESOURCE).missing_env == ()
    assert create("azure", access_token="t").missing_env == ("AZURE_OPENAI_ENDPOINT",)


def test_azure_says_the_ceiling_as_the_model_wants_it() -> None:
    def ceiling(model: str) -> set[str]:
        sent = json.loads(asked(create("azure", api_key="k", base_url=RESOURCE), model=model, max_tokens=5).body)
        return {name for name in sent if name.startswith("max_")}

    assert ceiling("gpt-4o") == {"max_completion_tokens"}
    assert ceiling("mistral-large-2411") == ceiling("Codestral-2501".lower()) == {"max_tokens"}


@pytest.mark.parametrize(
    ("name", "endpoint", "url"),
    [
        ("azure", "acme.openai.azure.com", "https://acme.openai.azure.com/openai/v1/chat/completions"),
        ("openai", "gateway.example/v1", "https://gateway.example/v1/chat/completions"),
        ("openai-compatible", "localhost:8000/v1", "http://localhost:8000/v1/chat/completions"),
        ("openai-compatible", "10.0.0.7:8000/v1", "http://10.0.0.7:8000/v1/chat/completions"),
        ("openai-compatible", "gpu-box:8000/v1", "http://gpu-box:8000/v1/chat/completions"),
        ("openai-compatible", "[::1]:8000/v1", "http://[::1]:8000/v1/chat/completions"),
        ("ollama", "0.0.0.0", "http://127.0.0.1:11434/api/chat"),
        ("ollama", "gpu.example", "http://gpu.example:11434/api/chat"),
    ],
)
def test_an_endpoint_may_lack_its_scheme(name: str, endpoint: str, url: str) -> None:
    assert asked(create(name, api_key="k", base_url=endpoint)).url == url


# -- the beginning of an answer ----------------------------------------------------------------------------------------

BEGUN = Message(Role.ASSISTANT, "One, two", extra={"prefix": True})


def test_deepseek_goes_on_at_a_path_of_its_own_and_without_thinking() -> None:
    request = asked(create("deepseek", api_key="k"), Message.user("Count."), BEGUN, model="deepseek-v4-pro")
    assert request.url == "https://api.deepseek.com/beta/chat/completions"
    sent = json.loads(request.body)
    assert sent["messages"][-1] == {"role": "assistant", "content": "One, two", "prefix": True}
    assert sent["thinking"] == {"type": "disabled"}
    ruled_out = ModelConfig("deepseek", "deepseek-v4-pro", reasoning_effort="high")
    exchange = create("deepseek", api_key="k").chat(ChatRequest(ruled_out, (Message.user("Count."), BEGUN)))
    assert exchange.dropped == ("reasoning_effort",)
    assert json.loads(exchange.request.body)["thinking"] == {"type": "disabled"}


@given(st.lists(st.sampled_from(["One", ", ", "two", "One, two", ", three", "O", ""]), max_size=6), st.booleans())
def test_a_beginning_that_is_repeated_is_told_once(deltas: list[str], finished: bool) -> None:
    exchange = create("mistral", api_key="k").stream(
        ChatRequest(ModelConfig("mistral", "m"), (Message.user("Count."), BEGUN))
    )
    exchange.receive_head(200, [("content-type", "text/event-stream")])
    chunks = [{"choices": [{"index": 0, "delta": {"content": delta}}]} for delta in deltas]
    if finished:
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events: list[Event] = []
    for chunk in chunks:
        events += exchange.receive_data(f"data: {json.dumps(chunk)}\n\n".encode())
    events += exchange.receive_end()
    text = "".join(event.delta for event in events if isinstance(event, Token))
    said = "".join(deltas)
    if said.startswith(BEGUN.text):
        assert text == said[len(BEGUN.text) :]
    elif BEGUN.text.startswith(said) and not finished:
        assert text == "", "it broke off while it repeated"
    else:
        assert text == said
    assert exchange.result.text == text
    assert (exchange.failure is None) == finished


def test_a_whole_answer_has_its_beginning_once() -> None:
    exchange = create("mistral", api_key="k").chat(
        ChatRequest(ModelConfig("mistral", "m"), (Message.user("Count."), BEGUN))
    )
    message = {"role": "assistant", "content": "One, two, three"}
    exchange.receive_head(200, [])
    exchange.receive_data(json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode())
    exchange.receive_end()
    assert exchange.result.text == ", three"


def test_claude_goes_on_without_thinking() -> None:
    begun = Message(Role.ASSISTANT, "One, two")
    ruled_out = ModelConfig("anthropic", "claude-haiku-4-5", reasoning_effort="low")
    exchange = create("anthropic", api_key="k").chat(ChatRequest(ruled_out, (Message.user("Count."), begun)))
    assert exchange.dropped == ("reasoning_effort",)
    assert not {"thinking", "output_config"} & json.loads(exchange.request.body).keys()
    assert body("anthropic", Message.user("Count."), begun, model="claude-haiku-4-5")["messages"][-1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "One, two"}],
    }


# -- what is known of models -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "model", "prefill"),
    [
        ("anthropic", "claude-3-5-haiku-latest", {}),
        ("anthropic", "claude-sonnet-4-20250514", {}),
        ("anthropic", "claude-opus-4-5", {}),
        ("anthropic", "claude-opus-4-6", None),
        ("anthropic", "claude-sonnet-5", None),
        ("bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0", {}),
        ("bedrock", "amazon.nova-pro-v1:0", None),
        ("mistral", "mistral-large-latest", {"prefix": True}),
        ("deepseek", "deepseek-chat", {"prefix": True}),
        ("deepseek", "deepseek-reasoner", None),
        ("openai", "gpt-4o", None),
    ],
)
def test_who_goes_on_from_a_prefilled_answer(provider: str, model: str, prefill: Any) -> None:
    assert create(provider, api_key="k").facts(model).prefill == prefill


def test_a_new_provider_is_one_short_entry() -> None:
    import inspect

    from turnout.providers.catalog import hosts

    source = inspect.getsource(hosts)
    entries = [part.split("\n)\n")[0] for part in source.split(" = ProviderSpec(")[1:]]
    assert sum(entry.count("\n") + 2 <= 20 for entry in entries) >= 6
