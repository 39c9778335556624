"""Google's client of the Gemini API."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any


def operations(site: Mapping[str, Any]) -> Mapping[str, Callable[[], None]]:
    """Return the operations of the client."""
    genai = importlib.import_module("google.genai")
    client = genai.Client()
    model, prompt = site["model"], site["prompt"]
    function = {"name": site["tool"]["name"], "parameters_json_schema": site["tool"]["parameters"]}
    tools_config = {"tools": [{"function_declarations": [function]}]}

    def chat() -> None:
        reply = client.models.generate_content(model=model, contents=prompt)
        assert reply.text
        assert reply.candidates[0].finish_reason.name == "STOP"
        assert reply.usage_metadata.total_token_count > 0

    def stream() -> None:
        chunks = list(client.models.generate_content_stream(model=model, contents=prompt))
        assert "".join(chunk.text or "" for chunk in chunks)
        assert chunks[-1].candidates[0].finish_reason.name == "STOP"

    def tools() -> None:
        reply = client.models.generate_content(model=model, contents=site["tool_prompt"], config=tools_config)
        (call,) = reply.function_calls
        assert call.name == function["name"]
        result = {"function_response": {"name": call.name, "response": {"result": "12 degrees"}}}
        asked = {"role": "user", "parts": [{"text": site["tool_prompt"]}]}
        told = [asked, reply.candidates[0].content, {"role": "user", "parts": [result]}]
        chunks = client.models.generate_content_stream(model=model, contents=told, config=tools_config)
        assert "12 degrees" in "".join(chunk.text or "" for chunk in chunks)

    def structured() -> None:
        wanted = {"response_mime_type": "application/json", "response_json_schema": site["schema"]}
        reply = client.models.generate_content(model=model, contents=prompt, config=wanted)
        assert set(json.loads(reply.text)) == set(site["schema"]["required"])

    def several() -> None:
        reply = client.models.generate_content(model=model, contents=prompt, config={"candidate_count": 2})
        assert len(reply.candidates) == 2
        chunks = client.models.generate_content_stream(model=model, contents=prompt, config={"candidate_count": 2})
        ends = [each.index or 0 for chunk in chunks for each in chunk.candidates if each.finish_reason]
        assert sorted(ends) == [0, 1], ends

    def embeddings() -> None:
        reply = client.models.embed_content(model=site["embedding_model"], contents=["one", "two"])
        assert [len(each.values) > 8 for each in reply.embeddings] == [True, True]

    def models() -> None:
        assert f"models/{model}" in [each.name for each in client.models.list()]
        assert client.models.get(model=model).name == f"models/{model}"

    def count_tokens() -> None:
        assert client.models.count_tokens(model=model, contents=prompt).total_tokens > 0

    return {
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "structured output": structured,
        "several choices": several,
        "embeddings": embeddings,
        "models": models,
        "count tokens": count_tokens,
    }
