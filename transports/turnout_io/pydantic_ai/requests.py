"""Messages, tools and settings of Pydantic AI as those of a request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic_ai.exceptions import UserError  # pyright: ignore[reportMissingImports]

from turnout.messages import Audio, File, Image, Message, Part, Refusal, Text, Tool, ToolCall, ToolChoice
from turnout.routing.policy.settings import Policy

__all__ = ["STORED", "call_settings", "request_messages", "tools_and_choice"]

STORED: Final = "turnout_message"
"""Where `provider_details` of a response keeps the message, with the signatures that go back to the provider."""
_SAME_NAME: Final = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "parallel_tool_calls",
)


def request_messages(messages: Iterable[Any], parameters: Any) -> list[Message]:
    """Return the conversation, with the instructions after the system prompts that begin it.

    Args:
        messages: `ModelRequest` and `ModelResponse` objects.
        parameters: The `ModelRequestParameters` of the request.

    Raises:
        UserError: If a part has no form here.
    """
    history = list(messages)
    made: list[Message] = []
    for message in history:
        if message.kind == "request":
            for part in message.parts:
                made += _request_part(part)
        else:
            made += _response(message)
    leading = next((place for place, message in enumerate(made) if message.role != "system"), len(made))
    made[leading:leading] = [Message.system(text) for text in _instructions(history, parameters)]
    return made


def _instructions(messages: Sequence[Any], parameters: Any) -> list[str]:
    if parameters.instruction_parts is not None:
        return [part.content for part in parameters.instruction_parts if part.content]
    last = next((message for message in reversed(messages) if message.kind == "request"), None)
    text = getattr(last, "instructions", None)
    return [text] if text else []


def _request_part(part: Any) -> Iterator[Message]:
    match part.part_kind:
        case "system-prompt":
            if part.content:
                yield Message.system(part.content)
        case "user-prompt":
            content = _content(part.content)
            if content:
                yield Message.user(*content)
        case "tool-return":
            failed = part.outcome != "success"
            text = part.model_response_str(wrap_if_error=False)
            content = [Text(text)] if text or not part.files else []
            content += [_file(item) for item in part.files]
            yield Message.tool(part.tool_call_id, content, name=part.tool_name, is_error=failed)
        case "retry-prompt" if part.tool_name is None:
            yield Message.user(part.model_response())
        case "retry-prompt":
            yield Message.tool(part.tool_call_id, part.model_response(), name=part.tool_name, is_error=True)
        case kind:
            raise UserError(f"a part of the kind {kind!r} must be prepared: give model.prepare_messages(messages)")


def _content(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [Text(content)] if content else []
    parts: list[Part] = []
    for item in content:
        if isinstance(item, str):
            parts.append(Text(item))
        elif item.kind in ("text-content", "structured-content"):
            parts.append(Text(item.content))
        elif item.kind != "cache-point":
            parts.append(_file(item))
    return parts


def _file(item: Any) -> Part:
    """Return a file of Pydantic AI as a part."""
    match item.kind:
        case "image-url":
            return Image(item.url, detail=(item.vendor_metadata or {}).get("detail"))
        case "document-url":
            return File(url=item.url, media_type=item.media_type)
        case "uploaded-file":
            return File(file_id=item.file_id)
        case "binary" if item.is_image:
            detail = (item.vendor_metadata or {}).get("detail")
            return Image(data=item.data, media_type=item.media_type, detail=detail)
        case "binary" if item.is_audio:
            return Audio(data=item.data, media_type=item.media_type)
        case "binary":
            return File(data=item.data, media_type=item.media_type)
        case kind:
            raise UserError(f"Turnout has no part for {kind!r}: give the bytes as BinaryContent")


def _response(message: Any) -> list[Message]:
    texts = [part.content for part in message.parts if part.part_kind == "text"]
    calls = [
        ToolCall(part.tool_call_id, part.tool_name, part.args_as_json_str())
        for part in message.parts
        if part.part_kind == "tool-call"
    ]
    stored = _stored(message)
    if stored is not None and _same(stored, texts, calls):
        return [stored]
    content: list[Part] = [Text(text) for text in texts if text]
    for part in message.parts:
        if part.part_kind == "file":
            content.append(_file(part.content))
    return [Message.assistant(content, tool_calls=calls)] if content or calls else []


def _stored(message: Any) -> Message | None:
    plain = (message.provider_details or {}).get(STORED)
    if not isinstance(plain, Mapping):
        return None
    try:
        return Message.from_dict(plain)
    except (ValueError, TypeError):
        return None


def _same(stored: Message, texts: Sequence[str], calls: Sequence[ToolCall]) -> bool:
    """Return whether nobody has changed the parts of a response since the message was stored."""
    before = [(call.id, call.name, call.parsed()) for call in stored.tool_calls]
    return "".join(texts) == _shown(stored) and before == [(call.id, call.name, call.parsed()) for call in calls]


def _shown(message: Message) -> str:
    """Return the text that the parts of a response show: see `turnout_io.pydantic_ai.responses`."""
    return "".join(part.text for part in message.content if isinstance(part, Text | Refusal))


def tools_and_choice(settings: Mapping[str, Any], parameters: Any) -> tuple[list[Tool], ToolChoice | None]:
    """Return the tools of a request, and which of them the model may or must call.

    Args:
        settings: The `ModelSettings` of the request.
        parameters: Its `ModelRequestParameters`.
    """
    declared = parameters.declared_tool_defs
    outputs = {tool.name for tool in parameters.output_tools}
    direct = parameters.allow_text_output or parameters.allow_image_output
    mode, names = _choice(settings.get("tool_choice"), set(declared), outputs, direct=direct)
    tools = [
        Tool(tool.name, tool.description or "", tool.parameters_json_schema, strict=tool.strict)
        for name, tool in declared.items()
        if name in names
    ]
    if not tools:
        return [], None
    if mode == "required" and len(tools) == 1:
        return tools, ToolChoice.named(tools[0].name)
    return tools, None if mode == "auto" else ToolChoice("required" if mode == "required" else "none")


def _choice(given: Any, declared: set[str], outputs: set[str], *, direct: bool) -> tuple[str, set[str]]:
    """Return `auto`, `none` or `required`, and the names of the tools that remain."""
    usual = "auto" if direct else "required"
    if given in (None, "auto"):
        return usual, declared
    if given in ("none", []):
        return (usual, outputs) if outputs else ("none", declared)
    if given == "required":
        return "required", declared - outputs
    if isinstance(given, list):
        return "required", declared & set(given)
    return usual, declared & (set(given.function_tools) | outputs)  # ToolOrOutput


def call_settings(settings: Mapping[str, Any], parameters: Any) -> dict[str, Any]:
    """Return the keywords of `router.chat` for the settings of a request."""
    made = {name: settings[name] for name in _SAME_NAME if settings.get(name) is not None}
    if settings.get("stop_sequences"):
        made["stop"] = list(settings["stop_sequences"])
    timeout = settings.get("timeout")
    if isinstance(timeout, int | float):
        made["timeout"] = float(timeout)
    if settings.get("max_retries") is not None:
        made["policy"] = Policy(max_retries=settings["max_retries"])
    extra = dict(settings.get("extra_body") or {})
    if settings.get("logit_bias"):
        extra.setdefault("logit_bias", settings["logit_bias"])
    if extra:
        made["extra"] = extra
    if parameters.thinking is not None:
        made["reasoning_effort"] = {True: "default", False: "none"}.get(parameters.thinking, parameters.thinking)
    return made
