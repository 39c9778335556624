"""The messages of chat completions: deltas, whole messages, and whole messages behind deltas.

Sources: the OpenAI API reference, and those of OpenRouter (reasoning details, images), Mistral (thinking parts), Groq
(executed tools), LiteLLM (thinking blocks, fields of one provider), Gemini's OpenAI-compatible endpoint (signatures)
and Copilot (reasoning text).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import attrs

from turnout.events import AudioDelta, Event, PartReady
from turnout.messages import Image
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.media import AudioBuilder
from turnout.providers.json_codec import is_shallow
from turnout.providers.openai_chat.message.content_parts import audio_in, image_in, signed_texts, texts_in
from turnout.providers.openai_chat.message.opaque_fields import PROOFS, OpaqueFields
from turnout.providers.openai_chat.message.prefix_filter import PrefixFilter
from turnout.providers.openai_chat.message.text_so_far import TextSoFar
from turnout.providers.openai_chat.wire import Function, Message, ToolCallFragment

__all__ = ["MessageReader"]

_REASONING_PARTS = frozenset({"thinking", "reasoning"})
# Parts that say nothing if they are empty.
_PLAIN_PARTS = _REASONING_PARTS | {"text", "output_text", "refusal"}
# The fields that have the reasoning as text, the most usual first: only one of them is read.
_REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text", "thinking", "cot_summary")
# What a message may have beside its words, its media and its calls.
_KEPT_FIELDS = (
    "reasoning_details",
    "thinking_blocks",
    "provider_specific_fields",
    "extra_content",
    "executed_tools",
    *PROOFS,
)
_CALL_EXTRAS = ("namespace", "caller", "toolset_name", "thought_signature")


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
    _known: dict[str, TextSoFar] = attrs.field(factory=dict)  # by kind

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
        if message.extra_content is not None:
            self._read_extra_content(message.extra_content, events)
        for image in filter(None, map(image_in, message.images or (message.image,))):
            self._add_image(image, events)
        if isinstance(message.audio, dict):
            self._add_audio(message.audio, events)
        for fragment in _fragments(message):
            self._tool_call(fragment, events, whole)
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
        plain = next(filter(None, (getattr(message, name) for name in _REASONING_FIELDS)), None)
        reasoning = _text_of(plain)
        if reasoning and (rest := self._rest("reasoning", reasoning)):
            accumulator.reasoning(rest, events)
        text = _text_of(message.content)
        if text and (rest := self._rest("text", text)):
            accumulator.text(rest, events)
        if message.refusal and (rest := self._rest("refusal", message.refusal)):
            accumulator.refusal(rest, events)
        self._read_beside(message, events)
        for image in filter(None, map(image_in, message.images or (message.image,))):
            if image not in self._images:
                self._add_image(image, events)
        if self._audio is None and isinstance(message.audio, dict):
            self._add_audio(message.audio, events)
        for position, fragment in enumerate(_fragments(message)):
            if position >= accumulator.calls:
                self._tool_call(fragment, events, True)
            elif fragment.function is not None:
                arguments = _arguments(fragment.function.arguments)
                accumulator.complete_call(
                    position, events, id=fragment.id, name=fragment.function.name, arguments=arguments
                )

    def _read_beside(self, message: Message, events: list[Event]) -> None:
        """Read what a whole message has beside its words, unless the deltas had it."""
        known = self._opaque.names
        names = [name for name in _KEPT_FIELDS if name not in known and getattr(message, name)]
        if any(part.kind == "text" and part.signature for part in self.accumulator.parts):
            names = [name for name in names if name != "extra_content"]
        if message.annotations and not self.accumulator.citations:
            names.append("annotations")
        if not names:
            return
        if any(part.kind == "reasoning" for part in self.accumulator.parts):
            self._details_speak = False
        self.read(Message(**{name: getattr(message, name) for name in names}), events, whole=True)

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

    def _rest(self, kind: Literal["text", "reasoning", "refusal"], whole: str) -> str | None:
        known = self._known.setdefault(kind, TextSoFar(kind))
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
        kind = part.get("type")
        is_read = not kind or kind in _PLAIN_PARTS
        if isinstance(part.get("refusal"), str):
            self.accumulator.refusal(part["refusal"], events)
        if (image := image_in(part)) is not None:
            self._add_image(image, events)
            is_read = True
        elif (sound := audio_in(part)) is not None:
            self.accumulator.whole_part(sound, events)
            is_read = True
        reasons = isinstance(kind, str) and kind in _REASONING_PARTS
        for name in ("text", "thinking", "summary"):
            for text, signature in signed_texts(part.get(name)):
                is_read = True
                if reasons or name != "text":
                    self.accumulator.reasoning(text, events)
                else:
                    self._add_text(text, events)
                if signature is not None:
                    self.accumulator.set_signature("reasoning", signature, events)
        signature = part.get("signature")
        if isinstance(signature, str) and signature:
            self.accumulator.set_signature("reasoning" if reasons else "text", signature, events)
        if not is_read:
            self.accumulator.kept += 1
            self._opaque.extend("content_parts", [part])

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
        for name in _REASONING_FIELDS:
            plain = getattr(message, name)
            if plain:
                self._plain_reasoning(name, plain, events)
                break
        for name in PROOFS:
            if proof := getattr(message, name):
                self._opaque.set(name, proof)
                accumulator.kept += 1
        if isinstance(message.provider_specific_fields, dict):
            self._merge("provider_specific_fields", message.provider_specific_fields)
        for detail in _objects(message.reasoning_details):
            self.accumulator.opaque_size.add(self._opaque.add_detail(detail, whole=whole))
            self._structured(detail.get("text") or detail.get("summary"), detail.get("signature"), events)
        for block in _objects(message.thinking_blocks):
            self.accumulator.opaque_size.add(self._opaque.add_block(block, whole=whole))
            self._structured(block.get("thinking"), block.get("signature"), events)

    def _plain_reasoning(self, name: str, value: str | list[Any] | dict[str, Any], events: list[Event]) -> None:
        """Read the field that has the reasoning as text. What an object has beside its text is kept."""
        texts: object = value
        if isinstance(value, dict):
            texts = next((value[key] for key in ("text", "content", "thinking", "summary") if value.get(key)), None)
            self._merge(name, {key: other for key, other in value.items() if other is not texts})
        for text in texts_in(texts):
            self.accumulator.reasoning(text, events)

    def _merge(self, name: str, values: dict[str, Any]) -> None:
        self.accumulator.opaque_size.add(self._opaque.merge(name, values))

    def _read_extra_content(self, extra: object, events: list[Event]) -> None:
        if signature := _google_signature(extra):
            self.accumulator.set_signature("text", signature, events)
        elif isinstance(extra, dict):
            self._merge("extra_content", extra)

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
        if function is None and fragment.name:
            function = Function(fragment.name, fragment.arguments)
        is_custom = custom is not None and function is None
        position = self.accumulator.tool_fragment(
            events,
            id=fragment.id,
            index=fragment.index,
            name=custom.name if custom is not None and is_custom else function.name if function is not None else None,
            arguments=(
                custom.input
                if custom is not None and is_custom
                else _arguments(function.arguments if function.arguments is not None else function.parameters)
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


def _fragments(message: Message) -> Sequence[ToolCallFragment]:
    if message.tool_calls or message.function_call is None:
        return message.tool_calls or ()
    return (ToolCallFragment(index=0, function=message.function_call),)


def _call_extra(fragment: ToolCallFragment) -> dict[str, Any] | None:
    given = {name: value for name in _CALL_EXTRAS if (value := getattr(fragment, name)) is not None}
    own = fragment.provider_specific_fields or (
        fragment.function.provider_specific_fields if fragment.function is not None else None
    )
    if isinstance(own, dict) and own and is_shallow(own):
        given["provider_specific_fields"] = own
    return given or None


def _arguments(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _objects(values: list[Any] | None) -> Iterable[dict[str, Any]]:
    return (value for value in values or () if isinstance(value, dict))


def _text_of(value: object) -> str:
    return value if isinstance(value, str) else "".join(texts_in(value))


def _google_signature(extra: object) -> str | None:
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else None
