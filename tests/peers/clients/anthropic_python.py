"""The SDK of Anthropic for Python as a client of the gateway: `python anthropic_python.py BASE_URL`."""

import sys

import anthropic

client = anthropic.Anthropic(base_url=sys.argv[1], api_key="none", max_retries=0)
HELLO = [{"role": "user", "content": "hello"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"name": "weather", "description": "The weather.", "input_schema": SCHEMA}


def messages(model: str) -> None:
    whole = client.messages.create(model=model, max_tokens=200, messages=HELLO, system="Be brief.")
    assert whole.content[0].text
    assert whole.stop_reason == "end_turn"
    assert whole.model == model
    assert whole._request_id
    with client.messages.stream(model=model, max_tokens=200, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == final.content[0].text
    assert final.usage.output_tokens > 0
    assert final.usage.input_tokens > 0


def tools(model: str, stream: bool) -> None:
    turns = [{"role": "user", "content": "The weather in Paris?"}]
    fields = {"model": model, "max_tokens": 400, "tools": [TOOL]}
    if stream:
        with client.messages.stream(messages=turns, **fields) as events:
            first = events.get_final_message()
    else:
        first = client.messages.create(messages=turns, **fields)
    assert first.stop_reason == "tool_use"
    calls = [block for block in first.content if block.type == "tool_use"]
    assert calls[0].name == "weather"
    assert isinstance(calls[0].input, dict)
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"} for call in calls]
    turns += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    second = client.messages.create(messages=turns, **fields)
    assert second.stop_reason == "end_turn"
    assert second.content[-1].text


def thinking(model: str) -> None:
    """A tool turn with thinking: its signature must come back with the next turn."""
    turns = [{"role": "user", "content": "The weather in Paris?"}]
    fields = {"model": model, "max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2000}}
    with client.messages.stream(messages=turns, tools=[TOOL], **fields) as stream:
        first = stream.get_final_message()
    assert first.content[0].type == "thinking"
    assert first.content[0].signature
    calls = [block for block in first.content if block.type == "tool_use"]
    if calls:
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"} for call in calls]
        turns += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
        assert client.messages.create(messages=turns, tools=[TOOL], **fields).content


def raises(kind: type[Exception], **fields: object) -> anthropic.APIStatusError:
    try:
        stream = client.messages.create(**{"model": "claude", "max_tokens": 50, "messages": HELLO, **fields})
        if fields.get("stream"):
            list(stream)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised for {fields}")


def errors() -> None:
    raises(anthropic.BadRequestError, messages=[])
    raises(anthropic.NotFoundError, model="nothing")
    for stream in (True, False):
        assert raises(anthropic.RateLimitError, model="limited", stream=stream).response.headers["retry-after"]
        overloaded = raises(anthropic.APIStatusError, model="busy", stream=stream)
        assert overloaded.status_code == 529
        assert raises(anthropic.InternalServerError, model="badkey", stream=stream).status_code == 502
    raises(anthropic.APIStatusError, model="broken", stream=True)


for name in ("claude", "gpt", "gemini"):
    messages(name)
    tools(name, stream=False)
    tools(name, stream=True)
thinking("claude")
errors()
assert client.messages.count_tokens(model="claude", messages=HELLO).input_tokens > 0
assert client.messages.count_tokens(model="gpt", messages=HELLO).input_tokens > 0
assert "claude" in [model.id for model in client.models.list()]
print("ok")
