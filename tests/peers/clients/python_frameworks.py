"""LangChain and LiteLLM as clients of the gateway: `python python_frameworks.py BASE_URL`."""

import sys

import litellm
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

URL = sys.argv[1]


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    degrees: int


@tool
def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"21 degrees in {city}"


def langchain(model: ChatOpenAI | ChatAnthropic) -> None:
    reply = model.invoke("hello")
    assert reply.text
    assert reply.usage_metadata["output_tokens"] > 0
    chunks = list(model.stream("hello"))
    assert "".join(chunk.text for chunk in chunks)
    bound = model.bind_tools([weather])
    messages = [HumanMessage("The weather in Paris?")]
    for run in ("invoke", "stream"):
        if run == "invoke":
            first = bound.invoke(messages)
        else:
            pieces = list(bound.stream(messages))
            first = pieces[0]
            for piece in pieces[1:]:
                first = first + piece
        assert first.tool_calls[0]["name"] == "weather"
        results = [ToolMessage("21 degrees", tool_call_id=call["id"]) for call in first.tool_calls]
        assert bound.invoke([*messages, first, *results]).text


for name in ("gpt", "claude", "gemini"):
    langchain(ChatOpenAI(model=name, base_url=f"{URL}/v1", api_key="none", stream_usage=True))
langchain(ChatAnthropic(model="claude", base_url=URL, api_key="none", max_tokens=300))
langchain(ChatOpenAI(model="gpt", base_url=f"{URL}/v1", api_key="none", use_responses_api=True))
structured = ChatOpenAI(model="gpt", base_url=f"{URL}/v1", api_key="none").with_structured_output(Weather)
assert isinstance(structured.invoke("x"), Weather)
embeddings = OpenAIEmbeddings(model="embed", base_url=f"{URL}/v1", api_key="none", check_embedding_ctx_length=False)
assert len(embeddings.embed_documents(["a", "b"])) == 2

litellm.suppress_debug_info = True
HELLO = [{"role": "user", "content": "hello"}]
for name in ("gpt", "claude", "gemini"):
    fields = {"model": f"openai/{name}", "messages": HELLO, "api_base": f"{URL}/v1", "api_key": "none"}
    assert litellm.completion(**fields).choices[0].message.content
    chunks = list(litellm.completion(stream=True, **fields))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
reply = litellm.completion(model="anthropic/claude", messages=HELLO, api_base=URL, api_key="none", max_tokens=100)
assert reply.choices[0].message.content
print("ok")
