"""AWS's client of Bedrock, which is made from botocore's data."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any


def operations(site: Mapping[str, Any]) -> Mapping[str, Callable[[], None]]:
    """Return the operations of the clients `bedrock-runtime` and `bedrock`."""
    session = importlib.import_module("botocore.session").get_session()
    config = importlib.import_module("botocore.config").Config(retries={"total_max_attempts": 1})
    runtime = session.create_client("bedrock-runtime", config=config)
    plane = session.create_client("bedrock", config=config)
    model = site["model"]
    messages = [{"role": "user", "content": [{"text": site["prompt"]}]}]
    asked = {"role": "user", "content": [{"text": site["tool_prompt"]}]}
    spec = {"name": site["tool"]["name"], "inputSchema": {"json": site["tool"]["parameters"]}}
    tools_config = {"tools": [{"toolSpec": spec}]}

    def chat() -> None:
        reply = runtime.converse(modelId=model, messages=messages)
        assert reply["output"]["message"]["content"][0]["text"]
        assert reply["stopReason"] == "end_turn"
        assert reply["usage"]["totalTokens"] > 0

    def stream() -> None:
        events = list(runtime.converse_stream(modelId=model, messages=messages)["stream"])
        deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
        assert "".join(delta["text"] for delta in deltas)
        assert any("metadata" in event for event in events)

    def tools() -> None:
        reply = runtime.converse(modelId=model, messages=[asked], toolConfig=tools_config)
        message = reply["output"]["message"]
        call = message["content"][0]["toolUse"]
        assert call["name"] == spec["name"]
        result = {"toolUseId": call["toolUseId"], "content": [{"text": "12 degrees"}]}
        told = [asked, message, {"role": "user", "content": [{"toolResult": result}]}]
        events = runtime.converse_stream(modelId=model, messages=told, toolConfig=tools_config)["stream"]
        text = "".join(event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event)
        assert "12 degrees" in text

    def structured() -> None:
        schema = {"jsonSchema": {"schema": json.dumps(site["schema"]), "name": "answer"}}
        wanted = {"textFormat": {"type": "json_schema", "structure": schema}}
        reply = runtime.converse(modelId=model, messages=messages, outputConfig=wanted)
        value = json.loads(reply["output"]["message"]["content"][0]["text"])
        assert set(value) == set(site["schema"]["required"])

    def models() -> None:
        listed = plane.list_foundation_models()["modelSummaries"]
        assert model in [each["modelId"] for each in listed]
        assert plane.list_inference_profiles()["inferenceProfileSummaries"]

    def count_tokens() -> None:
        counted = runtime.count_tokens(modelId=model, input={"converse": {"messages": messages}})
        assert counted["inputTokens"] > 0

    return {
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "structured output": structured,
        "models": models,
        "count tokens": count_tokens,
    }
