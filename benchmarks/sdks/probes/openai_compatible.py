"""The clients that have the form of OpenAI's: openai, groq, cerebras, together and zai."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_CLASSES = {
    "openai": ("openai", "OpenAI"),
    "groq": ("groq", "Groq"),
    "cerebras-cloud-sdk": ("cerebras.cloud.sdk", "Cerebras"),
    "together": ("together", "Together"),
    "zai-sdk": ("zai", "ZaiClient"),
}


def operations(site: Mapping[str, Any]) -> Mapping[str, Callable[[], None]]:
    """Return the operations that the client and the provider of the site both have."""
    client = _client(site)
    probe = _Probe(client, site)
    offered = {
        "chat": probe.chat,
        "stream": probe.stream,
        "structured output": probe.structured,
        **({"tools": probe.tools} if "tools" in site["operations"] else {}),
    }
    more = (
        ("embeddings", "embeddings", probe.embeddings),
        ("models", "models", probe.models),
        ("responses", "responses", probe.responses),
        ("count tokens", "responses", probe.count_tokens),
        ("rerank", "rerank", probe.rerank),
    )
    offered |= {
        name: operation
        for name, resource, operation in more
        if hasattr(client, resource) and name in site["operations"]
    }
    if "responses" in offered:
        offered["responses stream"] = probe.responses_stream
    if "several choices" in site["operations"] and site["sdk"] != "zai-sdk":
        offered["several choices"] = probe.several
    return offered


def _client(site: Mapping[str, Any]) -> Any:
    module, name = _CLASSES[site["sdk"]]
    settings: dict[str, Any] = {"max_retries": 0}
    if site["sdk"] == "cerebras-cloud-sdk":
        settings["warm_tcp_connection"] = False
    if not site["from_environment"]:
        settings |= {"base_url": site["url"], "api_key": site["key"]}
    return getattr(importlib.import_module(module), name)(**settings)


class _Probe:
    def __init__(self, client: Any, site: Mapping[str, Any]) -> None:
        self.client, self.site = client, site
        self.model = site["model"]
        self.extra = {"extra_body": site["extra_chat"]} if site["extra_chat"] else {}
        self.messages = [{"role": "user", "content": site["prompt"]}]
        self.function = {"type": "function", "function": site["tool"]}

    def _create(self, **settings: Any) -> Any:
        return self.client.chat.completions.create(model=self.model, **self.extra, **settings)

    def chat(self) -> None:
        reply = self._create(messages=self.messages)
        (choice,) = reply.choices
        assert choice.message.content
        assert choice.finish_reason == "stop", choice.finish_reason
        assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0

    def stream(self) -> None:
        stream = self._create(messages=self.messages, stream=True)
        chunks = list(stream)
        assert _text(chunks)
        ends = {choice.finish_reason for chunk in chunks for choice in chunk.choices}
        assert ends - {None} == {"stop"}, ends

    def tools(self) -> None:
        asked = {**self.messages[0], "content": self.site["tool_prompt"]}
        reply = self._create(messages=[asked], tools=[self.function])
        (call,) = reply.choices[0].message.tool_calls
        assert call.function.name == self.site["tool"]["name"]
        assert isinstance(json.loads(call.function.arguments), dict)
        assert reply.choices[0].finish_reason == "tool_calls"
        again = reply.choices[0].message.model_dump(exclude_none=True)
        result = {"role": "tool", "tool_call_id": call.id, "content": "12 degrees"}
        stream = self._create(messages=[asked, again, result], tools=[self.function], stream=True)
        text = _text(stream)
        assert "12 degrees" in text, text

    def structured(self) -> None:
        wanted: dict[str, Any] = {"type": "json_object"}
        if self.site["sdk"] != "zai-sdk" and "schema" in self.site["operations"]:
            wanted = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": self.site["schema"]},
            }
        reply = self._create(messages=self.messages, response_format=wanted)
        value = json.loads(reply.choices[0].message.content)
        assert wanted["type"] == "json_object" or set(value) == set(self.site["schema"]["required"]), value

    def several(self) -> None:
        reply = self._create(messages=self.messages, n=3)
        assert [choice.index for choice in reply.choices] == [0, 1, 2]
        stream = self._create(messages=self.messages, n=2, stream=True)
        ends = [(each.index, each.finish_reason) for chunk in stream for each in chunk.choices if each.finish_reason]
        assert set(ends) == {(0, "stop"), (1, "stop")}, ends

    def embeddings(self) -> None:
        more: dict[str, Any] = {}
        if "base64" not in self.site["operations"] and self.site["sdk"] == "openai":
            more["encoding_format"] = "float"
        if self.site["extra_embeddings"]:
            more["extra_body"] = self.site["extra_embeddings"]
        reply = self.client.embeddings.create(model=self.site["embedding_model"], input=["one", "two"], **more)
        assert [len(each.embedding) > 8 for each in reply.data] == [True, True]

    def models(self) -> None:
        assert self.model in [model.id for model in self.client.models.list().data]
        assert self.client.models.retrieve(self.model).id == self.model

    def responses(self) -> None:
        reply = self.client.responses.create(model=self.model, input=self.site["prompt"])
        assert reply.status == "completed"
        assert reply.output_text
        assert reply.usage.total_tokens > 0

    def responses_stream(self) -> None:
        with self.client.responses.stream(model=self.model, input=self.site["prompt"]) as stream:
            events = list(stream)
            final = stream.get_final_response()
        numbers = [event.sequence_number for event in events if hasattr(event, "sequence_number")]
        assert numbers == sorted(set(numbers)), numbers
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert text
        assert final.output_text == text
        tool = {"type": "function", "strict": False, **self.site["tool"]}
        with self.client.responses.stream(model=self.model, input=self.site["tool_prompt"], tools=[tool]) as stream:
            final = stream.get_final_response()
        assert [item.name for item in final.output if item.type == "function_call"] == [tool["name"]]

    def count_tokens(self) -> None:
        counted = self.client.responses.input_tokens.count(model=self.model, input=self.site["prompt"])
        assert counted.input_tokens > 0

    def rerank(self) -> None:
        reply = self.client.rerank.create(
            model=self.site["rerank_model"], query=self.site["query"], documents=self.site["documents"], top_n=2
        )
        assert reply.results[0].index == 1, reply.results
        assert len(reply.results) == 2


def _text(chunks: Iterable[Any]) -> str:
    """Return the text of a stream. Azure sends a choice without a delta."""
    choices = [choice for chunk in chunks for choice in chunk.choices]
    return "".join(choice.delta.content or "" for choice in choices if choice.delta)
