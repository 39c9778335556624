"""The SDK of OpenAI for Python as a client of the gateway: `python openai_python.py BASE_URL`."""

import sys

import openai
from pydantic import BaseModel

URL = sys.argv[1]
client = openai.OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0)
HELLO = [{"role": "user", "content": "hello"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": PARAMETERS}}


class Weather(BaseModel):
    city: str
    degrees: int


def chat(model: str) -> None:
    whole = client.chat.completions.create(model=model, messages=HELLO, temperature=0, user="ann")
    assert whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    assert whole._request_id
    chunks = list(
        client.chat.completions.create(model=model, messages=HELLO, stream=True, stream_options={"include_usage": True})
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].usage.completion_tokens > 0
    assert len({chunk.id for chunk in chunks}) == 1


def tools(model: str, stream: bool) -> None:
    messages = [{"role": "user", "content": "The weather in Paris?"}]
    if stream:
        with client.chat.completions.stream(model=model, messages=messages, tools=[TOOL]) as events:
            message = events.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(model=model, messages=messages, tools=[TOOL]).choices[0].message
    (call, *others) = message.tool_calls
    assert not others
    assert call.function.name == "weather"
    kept = {
        "role": "assistant",
        "content": message.content,
        "tool_calls": [
            {"id": call.id, "type": "function", "function": {"name": "weather", "arguments": call.function.arguments}}
        ],
    }
    messages += [kept, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
    second = client.chat.completions.create(model=model, messages=messages, tools=[TOOL])
    assert second.choices[0].message.content
    assert not second.choices[0].message.tool_calls


def responses(model: str) -> None:
    whole = client.responses.create(model=model, input="hello", instructions="Be brief.", store=False)
    assert whole.output_text
    assert whole.status == "completed"
    assert whole.usage.total_tokens > 0
    with client.responses.stream(model=model, input="hello") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert final.output_text
    tool = {"type": "function", "name": "weather", "description": "", "parameters": PARAMETERS, "strict": False}
    items = [{"role": "user", "content": "The weather in Paris?"}]
    first = client.responses.create(model=model, input=items, tools=[tool, {"type": "web_search"}])
    calls = [item for item in first.output if item.type == "function_call"]
    assert calls[0].name == "weather"
    items += [item.model_dump(exclude_none=True) for item in first.output]
    items += [{"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"} for call in calls]
    assert client.responses.create(model=model, input=items, tools=[tool]).output_text


def structured(model: str) -> None:
    parsed = client.chat.completions.parse(model=model, messages=HELLO, response_format=Weather)
    assert isinstance(parsed.choices[0].message.parsed, Weather)
    assert isinstance(client.responses.parse(model=model, input="x", text_format=Weather).output_parsed, Weather)


def raises(kind: type[Exception], **fields: object) -> openai.APIStatusError:
    try:
        stream = client.chat.completions.create(**{"model": "gpt", "messages": HELLO, **fields})
        if fields.get("stream"):
            list(stream)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised for {fields}")


def errors() -> None:
    raises(openai.BadRequestError, n=2)
    raises(openai.BadRequestError, messages=[])
    assert raises(openai.NotFoundError, model="nothing").code == "model_not_found"
    for stream in (True, False):
        limited = raises(openai.RateLimitError, model="limited", stream=stream)
        assert limited.response.headers["retry-after"]
        raises(openai.InternalServerError, model="busy", stream=stream)
        badkey = raises(openai.InternalServerError, model="badkey", stream=stream)
        assert badkey.status_code == 502
        assert badkey.response.headers["x-should-retry"] == "false"
    broken = raises(openai.APIError, model="broken", stream=True)
    assert not isinstance(broken, openai.APIConnectionError)
    try:
        list(client.responses.create(model="broken", input="x", stream=True))
    except openai.APIError:
        pass
    else:
        raise AssertionError("a broken stream of Responses looks whole")


for name in ("gpt", "claude", "gemini"):
    chat(name)
    tools(name, stream=False)
    tools(name, stream=True)
    responses(name)
structured("gpt")
errors()
vectors = client.embeddings.create(model="embed", input=["a", "b"])
assert len(vectors.data) == 2
assert len(vectors.data[0].embedding) > 1
assert "gpt" in [model.id for model in client.models.list()]
assert client.models.retrieve("gpt").id == "gpt"
print("ok")
