"""The values that users make: they refuse nonsense by the field's name, and nothing changes them afterwards."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import (
    Audio,
    ChatRequest,
    ChatResponse,
    EmbeddingRequest,
    End,
    File,
    FinishReason,
    Image,
    Message,
    ModelConfig,
    Reasoning,
    ResponseFormat,
    Restarted,
    Role,
    Text,
    Thinking,
    Token,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallReady,
    ToolChoice,
    Usage,
)
from turnout._utils.validation import as_tuple
from turnout.events import CONTENT
from turnout.messages import Opaque, Refusal

MODEL = ModelConfig("openai", "gpt-4o-mini")
HELLO = (Message.user("hello"),)
TOOL = Tool("search", "Searches.", {"type": "object"})

NONSENSE: list[tuple[str, Callable[[], object]]] = [
    ("ModelConfig.provider", lambda: ModelConfig("", "m")),
    ("ModelConfig.provider", lambda: ModelConfig("a/b", "m")),
    ("ModelConfig.provider", lambda: ModelConfig(3, "m")),  # type: ignore[arg-type]  # what is tested
    ("ModelConfig.model_id", lambda: ModelConfig("p", "  ")),
    ("ModelConfig.temperature", lambda: ModelConfig("p", "m", temperature=math.nan)),
    ("ModelConfig.temperature", lambda: ModelConfig("p", "m", temperature=10**400)),
    ("ModelConfig.temperature", lambda: ModelConfig("p", "m", temperature=-0.1)),
    ("ModelConfig.temperature", lambda: ModelConfig("p", "m", temperature=True)),
    ("ModelConfig.top_p", lambda: ModelConfig("p", "m", top_p=1.1)),
    ("ModelConfig.max_tokens", lambda: ModelConfig("p", "m", max_tokens=0)),
    ("ModelConfig.max_tokens", lambda: ModelConfig("p", "m", max_tokens=1.5)),  # type: ignore[arg-type]  # tested
    ("ModelConfig.timeout", lambda: ModelConfig("p", "m", timeout=0)),
    ("ModelConfig.timeout", lambda: ModelConfig("p", "m", timeout=math.inf)),
    ("ModelConfig.seed", lambda: ModelConfig("p", "m", seed=10**400)),
    ("ModelConfig.temperature", lambda: ModelConfig("p", "m", temperature=10**5000)),
    ("ModelConfig.stop[1]", lambda: ModelConfig("p", "m", stop=("a", 3))),  # type: ignore[arg-type]  # what is tested
    ("Message.tool_call_id", lambda: Message(Role.TOOL, "42")),
    ("Message.tool_call_id", lambda: Message(Role.USER, "x", tool_call_id="c1")),
    ("Message.tool_calls", lambda: Message(Role.USER, "x", tool_calls=(ToolCall("c", "f"),))),
    ("Message.content", lambda: Message.user()),
    ("Message.content[0]", lambda: Message(Role.USER, (3,))),  # type: ignore[arg-type]  # what is tested
    ("ToolCall.id", lambda: ToolCall("", "f")),
    ("ToolCall.name", lambda: ToolCall("c", "")),
    ("Tool.name", lambda: Tool("no spaces")),
    ("Tool.name", lambda: Tool("x" * 129)),
    ("Tool.parameters", lambda: Tool("f", "", {"type": "array"})),
    ("ToolChoice.mode", lambda: ToolChoice("sometimes")),  # type: ignore[arg-type]  # what is tested
    ("ToolChoice.name", lambda: ToolChoice("named")),
    ("ToolChoice.name", lambda: ToolChoice("auto", "f")),
    ("Image", lambda: Image()),
    ("Image", lambda: Image("http://x.test/a.png", data=b"x", media_type="image/png")),
    ("Image.media_type", lambda: Image(data=b"x")),
    ("Image.data", lambda: Image(data="x", media_type="image/png")),  # type: ignore[arg-type]  # what is tested
    ("Audio.media_type", lambda: Audio(data=b"x", media_type="")),
    ("File", lambda: File(url="http://x.test", file_id="f")),
    ("File.media_type", lambda: File(data=b"x")),
    ("ChatRequest.messages", lambda: ChatRequest(MODEL, ())),
    ("ChatRequest.messages[0]", lambda: ChatRequest(MODEL, ("hello",))),  # type: ignore[arg-type]  # what is tested
    ("ChatRequest.tools", lambda: ChatRequest(MODEL, HELLO, tools=(TOOL, TOOL))),
    ("ChatRequest.tool_choice", lambda: ChatRequest(MODEL, HELLO, tool_choice=ToolChoice("required"))),
    (
        "ChatRequest.tool_choice",
        lambda: ChatRequest(MODEL, HELLO, tools=(TOOL,), tool_choice=ToolChoice.named("other")),
    ),
    ("ChatRequest.fallbacks[0]", lambda: ChatRequest(MODEL, HELLO, fallbacks=(3,))),  # type: ignore[arg-type]  # what is tested
    ("ChatRequest.tool_choice", lambda: ChatRequest(MODEL, HELLO, tool_choice={"type": "auto?"})),
    ("ChatRequest.response_format", lambda: ChatRequest(MODEL, HELLO, response_format={})),
    ("ResponseFormat.name", lambda: ResponseFormat({}, name="")),
    ("EmbeddingRequest.input", lambda: EmbeddingRequest(MODEL, ())),
    ("EmbeddingRequest.input[1]", lambda: EmbeddingRequest(MODEL, ("a", ""))),
    ("EmbeddingRequest.dimensions", lambda: EmbeddingRequest(MODEL, "a", dimensions=0)),
    ("EmbeddingRequest.fallbacks", lambda: EmbeddingRequest(MODEL, "a", fallbacks=(MODEL,))),
    ("EmbeddingRequest.family", lambda: EmbeddingRequest(MODEL, "a", family="")),
]


@pytest.mark.parametrize(("field", "make"), NONSENSE, ids=[f"{n}-{field}" for n, (field, _) in enumerate(NONSENSE)])
def test_nonsense_is_refused_by_the_field_s_name(field: str, make: Callable[[], object]) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert field in str(caught.value)


@pytest.mark.parametrize("bad", ["gpt-4o", "/m", "openai/", " / ", ""])
def test_a_model_without_a_provider_is_no_model(bad: str) -> None:
    with pytest.raises(ValueError, match="provider/model"):
        ModelConfig.parse(bad)


@given(st.text(min_size=1).filter(str.strip))
def test_parse_splits_on_the_first_slash_only(model_id: str) -> None:
    model = ModelConfig.parse(f"groq/{model_id}", temperature=0.5)
    assert (model.provider, model.model_id, model.temperature) == ("groq", model_id, 0.5)
    assert str(model) == f"groq/{model_id}"


def test_a_model_can_be_a_key() -> None:
    model = ModelConfig("p", "m", extra={"user": {"id": 3}})
    assert {model: 1}[ModelConfig("p", "m", extra={"user": {"id": 3}})] == 1
    assert len({model, ModelConfig("p", "m")}) == 2


def test_one_stop_sequence_is_a_tuple_of_one() -> None:
    assert ModelConfig("p", "m", stop="END").stop == ("END",)


@pytest.mark.parametrize("value", [5, True, b"END", {"END": 1}])
def test_a_stop_sequence_that_is_no_text_is_refused_with_its_field(value: Any) -> None:
    with pytest.raises(TypeError, match=r"ModelConfig\.stop must be a text or a list of texts, not "):
        ModelConfig("p", "m", stop=value)


def test_what_is_no_list_is_refused_as_other_values_are() -> None:
    with pytest.raises(TypeError, match="expected a list or tuple, not int"):
        as_tuple(5)  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize("wrong", [b"text", {"a": 1}])
def test_a_mapping_or_bytes_are_no_list(wrong: Any) -> None:
    with pytest.raises(TypeError, match="must be a text or a list of messages"):
        ChatRequest(MODEL, wrong)


def test_models_and_a_lone_question_may_be_text() -> None:
    request = ChatRequest("groq/meta-llama/llama-4-scout", "Why?", fallbacks=["route/fast", MODEL])
    assert request == ChatRequest(
        ModelConfig("groq", "meta-llama/llama-4-scout"),
        [Message.user("Why?")],
        fallbacks=[ModelConfig.route("fast"), MODEL],
    )
    embedding = EmbeddingRequest("ollama/bge-m3", "Why?", fallbacks=["siliconflow/BAAI/bge-m3"], family="bge-m3")
    assert embedding.model == ModelConfig("ollama", "bge-m3")
    assert embedding.fallbacks == (ModelConfig("siliconflow", "BAAI/bge-m3"),)
    for wrong in ("gpt-4o", 3):
        with pytest.raises((ValueError, TypeError), match=r"written provider/model|ChatRequest\.model"):
            ChatRequest(wrong, "Why?")  # type: ignore[arg-type]  # what is tested


def test_a_mapping_field_takes_only_mappings() -> None:
    with pytest.raises(TypeError, match="mapping"):
        ModelConfig("p", "m", extra=[1])  # type: ignore[arg-type]  # what is tested


def test_what_the_caller_changes_later_changes_no_request() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"q": {"type": "string"}}}
    extra = {"nested": {"list": [1]}}
    messages = [Message.user("hello")]
    request = ChatRequest(
        ModelConfig("p", "m", extra=extra),
        messages,
        tools=[Tool("search", "", schema)],
        response_format=ResponseFormat(schema),
        metadata=extra,
    )
    before = pickle.dumps(request)
    schema["properties"]["q"]["type"] = "number"
    extra["nested"]["list"].append(2)
    messages.clear()
    assert pickle.dumps(request) == before
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.model = MODEL  # type: ignore[misc]  # what is tested


def test_a_request_for_another_model_keeps_the_conversation_alone() -> None:
    other = ModelConfig("groq", "llama")
    request = ChatRequest(MODEL, HELLO, fallbacks=(other,), metadata={"user": "u"})
    moved = request.for_model(other)
    assert (moved.model, moved.fallbacks, moved.messages) == (other, (), request.messages)
    embedding = EmbeddingRequest(MODEL, "a", fallbacks=(other,), family="same")
    assert embedding.for_model(other).fallbacks == ()


def test_messages_read_naturally() -> None:
    picture = Image("https://x.test/a.png")
    assert Message.user("What is", picture, "this?").content == (Text("What is"), picture, Text("this?"))
    assert Message.system("Be brief.").text == "Be brief."
    answer = Message.assistant((Thinking("hm"), Text("4"), Text("2"), Refusal("no")))
    assert (answer.text, answer.reasoning) == ("42", "hm")
    call = ToolCall("c1", "search", '{"q": 1}')
    result = Message.tool(call, "found")
    assert (result.tool_call_id, result.name, result.text) == ("c1", "search", "found")
    assert Message.tool("c1", "found").name is None
    assert Message("assistant", Text("x")).content == (Text("x"),)  # a role by its word
    assert Message.assistant(tool_calls=[call]).content == ()


def test_tool_arguments_are_parsed_on_request() -> None:
    assert ToolCall("c", "f", '{"a": [1]}').parsed() == {"a": [1]}
    with pytest.raises(ValueError, match="tool call 'f' are not JSON"):
        ToolCall("c", "f", '{"a": ').parsed()


def test_a_response_says_what_its_message_says() -> None:
    call = ToolCall("c", "f")
    message = Message(Role.ASSISTANT, (Thinking("hm"), Text("yes"), Refusal("but no")), tool_calls=(call,))
    response = ChatResponse(message=message, model=MODEL)
    assert (response.text, response.reasoning, response.refusal) == ("yes", "hm", "but no")
    assert response.tool_calls == (call,)
    assert ChatResponse(message=Message.assistant("x"), model=MODEL).refusal is None


def test_usage_adds_up_only_what_is_known() -> None:
    assert Usage(prompt_tokens=3, completion_tokens=4).total_tokens == 7
    assert Usage(prompt_tokens=3).total_tokens == 3
    assert Usage(source="absent").total_tokens is None


def test_events_can_be_told_apart_by_type_and_by_class() -> None:
    call = ToolCall("c", "f")
    events = (
        Token("a"),
        Reasoning("b"),
        ToolCallDelta(0, "{"),
        ToolCallReady(0, call),
        Restarted(2),
        End(finish_reason=FinishReason.STOP),
    )
    assert [event.type for event in events] == [
        "token",
        "reasoning",
        "tool_call_delta",
        "tool_call",
        "restarted",
        "end",
    ]
    assert [event.done for event in events] == [False] * 5 + [True]
    assert {type(event) for event in events if type(event) in CONTENT} == {
        Token,
        Reasoning,
        ToolCallDelta,
        ToolCallReady,
    }
    assert len({Token("a"), Token("a"), Token("b")}) == 2
    match events[0]:
        case Token(delta):
            assert delta == "a"


def test_bytes_are_not_shown_in_a_repr() -> None:
    secret = b"\x00SECRET"
    shown = repr((Image(data=secret, media_type="image/png"), Opaque(secret), Audio(data=secret, media_type="a/b")))
    assert "SECRET" not in shown


@given(
    st.builds(
        ModelConfig,
        st.sampled_from(["a", "b"]),
        st.text(min_size=1).filter(str.strip),
        temperature=st.none() | st.floats(0, 2),
        stop=st.lists(st.text(), max_size=3),
        extra=st.dictionaries(st.text(), st.integers()),
    )
)
def test_values_survive_pickling(model: ModelConfig) -> None:
    assert pickle.loads(pickle.dumps(model)) == model
