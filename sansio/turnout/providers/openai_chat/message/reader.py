"""The messages of chat completions: deltas, whole messages, and whole messages behind deltas.

Sources: the OpenAI API reference, and those of OpenRouter (reasoning details, images), Mistral (thinking parts), Groq
(executed tools), LiteLLM (thinking blocks), Gemini's OpenAI-compatible endpoint (signatures) and Copilot (reasoning
text).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import attrs

from turnout.events import AudioDelta, Event, PartReady
from turnout.messages import Image
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.media import AudioBuilder, image_of, image_of_url
from turnout.providers.openai_chat.message.opaque_fields import OpaqueFields
from turnout.providers.openai_chat.message.prefix_filter import PrefixFilter
from turnout.providers.openai_chat.message.text_so_far import TextSoFar
from turnout.providers.openai_chat.wire import Message, ToolCallFragment

__all__ = ["MessageReader"]

_REASONING_PARTS = frozenset({"thinking", "reasoning"})
_CALL_EXTRAS = ("namespace", "caller", "toolset_name")


@attrs.define(eq=False)
class MessageReader:
    """Reads the messages of one choice.

    Attributes:
        accumulator: The response.
        prefix: Removes a prefill that the server repeats.
        audio_type: The media type of the sound that the request wants, if it wants sound.
        is_commentary: Whether text is commentary, until the next message with a phase.
    """

    accumulator: ResponseAccumulator
    prefix: PrefixFilter
    audio_type: str | None = None
    is_commentary: bool = False
    _opaque: OpaqueFields = attrs.field(factory=OpaqueFields)
    _custom: set[int] = attrs.field(factory=set)  # the positions of calls of tools that take free text
    _audio: AudioBuilder | None = None
    _images: list[Image] = attrs.field(factory=list)
    # Whether structured reasoning goes to the caller: only if no plain field holds the same.
    _details_speak: bool | None = None
    # Whether all content so far is of whole messages, which repeat each other or continue each other.
    _whole_messages: bool = False
    _text: TextSoFar = attrs.field(factory=lambda: TextSoFar("text"))
    _reasoning: TextSoFar = attrs.field(factory=lambda: TextSoFar("reasoning"))

    def __attrs_post_init__(self) -> None:
        self.accumulator.replay = self._opaque.json

    def read(self, message: Message, events: list[Event], *, whole: bool) -> None:
        """Read a delta, or a whole message."""
        if message.phase is not None:
            self.is_commentary = message.phase == "commentary"
        self._read_reasoning(message, events, whole)
        content = message.content
        if content:
            self._content(content, events)
        if message.refusal:
            self.accumulator.refusal(message.refusal, events)
        if message.extra_content is not None and (signature := _google_signature(message.extra_content)):
            self.accumulator.set_signature("text", signature, events)
        if message.images:
            for image in filter(None, map(_image, message.images)):
                self._add_image(image, events)
        if isinstance(message.audio, dict):
            self._add_audio(message.audio, events)
        if message.tool_calls:
            for fragment in message.tool_calls:
                self._tool_call(fragment, events, whole)
        elif message.function_call is not None:
            self._tool_call(ToolCallFragment(index=0, function=message.function_call), events, whole)
        if message.annotations:
            self.accumulator.cite(message.annotations)
        if message.executed_tools:
            self.accumulator.kept += 1
            self._opaque.extend("executed_tools", message.executed_tools)

    def repeat(self, message: Message, events: list[Event]) -> None:
        """Read a whole message behind deltas, or behind other whole messages: only its new pieces count."""
        accumulator = self.accumulator
        if not accumulator.has_content:
            self._whole_messages = True
            self.read(message, events, whole=True)
            return
        reasoning = _text_of(message.reasoning_content or message.reasoning or message.reasoning_text)
        if reasoning and (rest := self._rest(self._reasoning, reasoning)):
            accumulator.reasoning(rest, events)
        text = _text_of(message.content)
        if text and (rest := self._rest(self._text, text)):
            accumulator.text(rest, events)
        for image in filter(None, map(_image, message.images or ())):
            if image not in self._images:
                self._add_image(image, events)
        if self._audio is None and isinstance(message.audio, dict):
            self._add_audio(message.audio, events)
        for position, fragment in enumerate(message.tool_calls or ()):
            if position >= accumulator.calls:
                self._tool_call(fragment, events, True)
            elif fragment.function is not None:
                arguments = _arguments(fragment.function.arguments)
                accumulator.complete_call(
                    position, events, id=fragment.id, name=fragment.function.name, arguments=arguments
                )

    def set_response_field(self, name: str, values: list[Any]) -> None:
        """Keep a field of the response that no part holds."""
        self._opaque.set(name, values)

    def flush(self, events: list[Event]) -> None:
        """Put the pieces that are held back into the response."""
        accumulator = self.accumulator
        if accumulator.raw_finish_reason is not None:
            accumulator.text(self.prefix.flush(), events)
        if self._audio is not None:
            events.append(PartReady(self._audio.build()))
            self._audio = None
        accumulator.extra.update(self._opaque.response_only)

    def _rest(self, known: TextSoFar, whole: str) -> str | None:
        rest = known.rest_of(whole, self.accumulator.parts)
        # Some servers send the pieces as whole messages.
        return whole if rest is None and self._whole_messages else rest

    # -- content ------------------------------------------------------------------------------------------------

    def _content(self, content: str | list[Any] | dict[str, Any], events: list[Event]) -> None:
        if isinstance(content, str):
            self._add_text(content, events)
        elif isinstance(content, list):
            for part in content:
                self._content_part(part, events)
        elif "type" in content:
            self._content_part(content, events)
        else:
            # The JSON that the request demands, as an object and not as text.
            self._add_text(json.dumps(content, ensure_ascii=False), events)

    def _add_text(self, text: str, events: list[Event]) -> None:
        if self.is_commentary:
            self.accumulator.commentary(text, events)
        else:
            self.accumulator.text(self.prefix.feed(text), events)

    def _content_part(self, part: object, events: list[Event]) -> None:
        """Read a part in place of a string: text, a refusal, an image, or thinking with inner parts."""
        if isinstance(part, str):
            self._add_text(part, events)
            return
        if not isinstance(part, dict):
            return
        if isinstance(part.get("refusal"), str):
            self.accumulator.refusal(part["refusal"], events)
        if (image := _image(part)) is not None:
            self._add_image(image, events)
        kind = part.get("type")
        reasons = isinstance(kind, str) and kind in _REASONING_PARTS
        for name in ("text", "thinking", "summary"):
            for text in _texts(part.get(name)):
                if reasons or name != "text":
                    self.accumulator.reasoning(text, events)
                else:
                    self._add_text(text, events)
        signature = part.get("signature")
        if isinstance(signature, str) and signature:
            self.accumulator.set_signature("reasoning" if reasons else "text", signature, events)

    def _add_image(self, image: Image, events: list[Event]) -> None:
        self._images.append(image)
        self.accumulator.whole_part(image, events)

    def _add_audio(self, piece: dict[str, Any], events: list[Event]) -> None:
        if self._audio is None:
            self._audio = AudioBuilder(self.audio_type)
            self.accumulator.growing_part(self._audio)
        sound, text = self._audio.add(piece)
        if sound or text:
            events.append(AudioDelta(sound, text))

    # -- reasoning ----------------------------------------------------------------------------------------------

    def _read_reasoning(self, message: Message, events: list[Event], whole: bool) -> None:
        accumulator = self.accumulator
        plain = message.reasoning_content or message.reasoning or message.reasoning_text
        if plain:
            for text in (plain,) if isinstance(plain, str) else _texts(plain):
                accumulator.reasoning(text, events)
        if message.reasoning_opaque:
            self._opaque.set("reasoning_opaque", message.reasoning_opaque)
        for detail in _objects(message.reasoning_details):
            self.accumulator.opaque_size.add(self._opaque.add_detail(detail, whole=whole))
            self._structured(detail.get("text") or detail.get("summary"), detail.get("signature"), events)
        for block in _objects(message.thinking_blocks):
            self.accumulator.opaque_size.add(self._opaque.add_block(block, whole=whole))
            self._structured(block.get("thinking"), block.get("signature"), events)

    def _structured(self, text: object, signature: object, events: list[Event]) -> None:
        """Read structured reasoning: its text, unless a plain field has it, and its signature."""
        if self._details_speak is None:
            self._details_speak = not any(part.kind == "reasoning" for part in self.accumulator.parts)
        if isinstance(text, str) and self._details_speak:
            self.accumulator.reasoning(text, events)
        if isinstance(signature, str) and signature:
            self.accumulator.sign_newest("reasoning", signature, events)

    # -- tool calls ---------------------------------------------------------------------------------------------

    def _tool_call(self, fragment: ToolCallFragment, events: list[Event], whole: bool) -> None:
        function, custom = fragment.function, fragment.custom
        is_custom = custom is not None and function is None
        position = self.accumulator.tool_fragment(
            events,
            id=fragment.id,
            index=fragment.index,
            name=custom.name if custom is not None and is_custom else function.name if function is not None else None,
            arguments=(
                custom.input
                if custom is not None and is_custom
                else _arguments(function.arguments)
                if function is not None
                else None
            ),
            signature=_google_signature(fragment.extra_content),
            extra=_call_extra(fragment),
            starts_call=whole,
            is_custom_tool=is_custom,
        )
        if is_custom:
            self._custom.add(position)
            self._opaque.custom_calls = self._custom_ids

    def _custom_ids(self) -> list[str]:
        return [call.id for position, call in enumerate(self.accumulator.finished_calls()) if position in self._custom]


def _call_extra(fragment: ToolCallFragment) -> dict[str, Any] | None:
    given = {name: value for name in _CALL_EXTRAS if (value := getattr(fragment, name)) is not None}
    return given or None


def _arguments(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _objects(values: list[Any] | None) -> Iterable[dict[str, Any]]:
    return (value for value in values or () if isinstance(value, dict))


def _texts(value: object) -> list[str]:
    """Return the texts of a text, of a part with one, or of a list of either."""
    pieces = value if isinstance(value, list) else [value]
    texts = (piece.get("text") if isinstance(piece, dict) else piece for piece in pieces)
    return [text for text in texts if isinstance(text, str)]


def _text_of(value: object) -> str:
    return value if isinstance(value, str) else "".join(_texts(value))


def _google_signature(extra: object) -> str | None:
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else None


def _image(value: object) -> Image | None:
    """Return the image of an entry of `images` or of a content part; None if it is something else."""
    if isinstance(value, str):
        return image_of_url(value)
    if not isinstance(value, dict):
        return None
    for name in ("image_url", "image", "url"):
        given = value.get(name)
        url = given.get("url") if isinstance(given, dict) else given
        if isinstance(url, str) and (name != "url" or "image" in str(value.get("type", "image"))):
            return image_of_url(url)
    data = value.get("b64_json")
    return image_of(data) if isinstance(data, str) else None
