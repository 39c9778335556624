"""The model that an agent of Pydantic AI is given."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

try:
    from pydantic_ai.exceptions import UserError  # pyright: ignore[reportMissingImports]
    from pydantic_ai.models import (  # pyright: ignore[reportMissingImports]
        Model,
        StreamedResponse,
        check_allow_model_requests,
    )
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "turnout_io.pydantic_ai needs Pydantic AI: pip install 'turnout[pydantic-ai]'", name=error.name
    ) from None

from turnout.chat import ChatRequest, ModelConfig, ResponseFormat, Usage
from turnout.errors import TransportError
from turnout.events import (
    End,
    Event,
    PartReady,
    PartSigned,
    Reasoning,
    RefusalDelta,
    Restarted,
    Token,
    ToolCallDelta,
)
from turnout.messages import Audio, Image
from turnout.types.models import as_model
from turnout_io.drivers import AsyncRouter
from turnout_io.drivers._async.stream import AsyncChatStream
from turnout_io.drivers.router_base import CALL_OPTIONS
from turnout_io.pydantic_ai.requests import call_settings, request_messages, tools_and_choice
from turnout_io.pydantic_ai.responses import (
    details_of,
    file_of,
    finish_reason_of,
    mapped_errors,
    response_of,
    usage_of,
)

if TYPE_CHECKING:
    from typing import Unpack

    from turnout_io.drivers.keywords import ChatSettings

__all__ = ["TurnoutModel"]

# Every dialect adapts schemas to its provider, so none of these needs a change by Pydantic AI.
_PROFILE: Mapping[str, Any] = {
    "supports_json_schema_output": True,
    "supports_json_object_output": True,
    "supports_image_output": True,
    "supports_thinking": True,
}


class TurnoutModel(Model):
    """A model for `pydantic_ai.Agent` that answers through a router, with its fallbacks, limits and deadline.

    Args:
        router: The router of `turnout_io.asyncio`. It must be open while the agent runs.
        model: A model, or its name as `openai/gpt-4o-mini` or `route/fast`.
        settings: The default `ModelSettings` of Pydantic AI.
        profile: Facts about the model that Pydantic AI decides by. They replace those of this class.
        **options: Fallbacks, options of each call and settings of the models, as `router.chat` takes them. Those of an
            agent's run replace them.
    """

    unsupported_settings = frozenset({"extra_headers", "service_tier"})

    def __init__(
        self,
        router: AsyncRouter,
        model: ModelConfig | str,
        *,
        settings: Any = None,
        profile: Mapping[str, Any] | Callable[[Any], Any] | None = None,
        **options: Unpack[ChatSettings],
    ) -> None:
        if not isinstance(router, AsyncRouter):
            raise TypeError(
                f"TurnoutModel needs a router of turnout_io.asyncio, not {type(router).__module__}."
                f"{type(router).__name__}: agents are async"
            )
        self._router = router
        self._options: dict[str, Any] = dict(options)
        self._model = as_model(model)
        given = profile

        def with_ours(default: Any) -> Any:
            ours = {**default, **_PROFILE}
            if callable(given):
                return given(ours)
            return {**ours, **(given or {})}

        super().__init__(settings=settings, profile=with_ours)

    @property
    def model_name(self) -> str:
        """The first model of the requests, as provider/model."""
        return str(self._model)

    @property
    def system(self) -> str:
        """The name of the provider: Turnout itself, because several may answer."""
        return "turnout"

    async def request(self, messages: list[Any], model_settings: Any, model_request_parameters: Any) -> Any:
        """Return the answer as a `ModelResponse`."""
        check_allow_model_requests()
        request, options = self._request(messages, model_settings, model_request_parameters)
        with mapped_errors(self.model_name):
            return response_of(await self._router.chat(request, **options))

    async def count_tokens(self, messages: list[Any], model_settings: Any, model_request_parameters: Any) -> Any:
        """Return the tokens of the prompt, as the provider counts them."""
        check_allow_model_requests()
        request, options = self._request(messages, model_settings, model_request_parameters)
        with mapped_errors(self.model_name):
            counted = await self._router.count_tokens(request, **options)
        return usage_of(Usage(prompt_tokens=counted.prompt_tokens, cached_tokens=counted.cached_tokens))

    @asynccontextmanager
    async def request_stream(
        self, messages: list[Any], model_settings: Any, model_request_parameters: Any, run_context: Any = None
    ) -> AsyncGenerator[Any]:
        """Return the answer as a stream."""
        check_allow_model_requests()
        request, options = self._request(messages, model_settings, model_request_parameters)
        stream = self._router.stream(request, **options)
        try:
            with mapped_errors(self.model_name):
                await stream.__aenter__()
            _, parameters = self.prepare_request(model_settings, model_request_parameters)
            yield TurnoutStreamedResponse(parameters, stream, self.model_name)
        finally:
            await stream.aclose()

    def _request(self, messages: list[Any], settings: Any, parameters: Any) -> tuple[ChatRequest, dict[str, Any]]:
        """Return the request, and the options of its call."""
        settings, parameters = self.prepare_request(settings, parameters)
        given = {**self._options, **call_settings(settings or {}, parameters)}
        options = {name: given.pop(name) for name in CALL_OPTIONS if name in given}
        tools, choice = tools_and_choice(settings or {}, parameters)
        request = ChatRequest(
            self._model,
            request_messages(messages, parameters),
            tools=tools,
            tool_choice=choice,
            response_format=_response_format(parameters),
            **given,
        )
        return request, options


def _response_format(parameters: Any) -> ResponseFormat | None:
    output = parameters.output_object
    if parameters.output_mode != "native" or output is None:
        return None
    strict = _can_be_strict(output.json_schema) if output.strict is None else output.strict
    return ResponseFormat(
        output.json_schema, name=output.name or "answer", description=output.description, strict=strict
    )


def _can_be_strict(schema: Any) -> bool:
    """Return whether every field of every object is required, as providers demand of a strict schema."""
    if isinstance(schema, list):
        return all(map(_can_be_strict, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict) and set(properties) != set(schema.get("required", ())):
        return False
    return all(map(_can_be_strict, schema.values()))


class TurnoutStreamedResponse(StreamedResponse):
    """The events of a stream as those of Pydantic AI."""

    def __init__(self, parameters: Any, stream: AsyncChatStream, model: str) -> None:
        super().__init__(parameters)
        self._stream = stream
        self._model = model
        self._timestamp = datetime.now(UTC)
        self._place: tuple[str, int] = ("", 0)  # the kind and the number of the part that grows
        self._named: set[int] = set()  # the tool calls that have their name

    async def _get_event_iterator(self) -> AsyncIterator[Any]:
        with mapped_errors(self._model):
            async for event in self._stream:
                for made in self._events(event):
                    yield made

    def _events(self, event: Event) -> Iterator[Any]:
        parts = self._parts_manager
        match event:
            case Token(delta) | RefusalDelta(delta):
                yield from parts.handle_text_delta(vendor_part_id=self._part("text"), content=delta)
            case Reasoning(delta):
                yield from parts.handle_thinking_delta(
                    vendor_part_id=self._part("reasoning"), content=delta, provider_name=self.provider_name
                )
            case PartSigned(kind="reasoning", signature=signature):
                yield from parts.handle_thinking_delta(
                    vendor_part_id=self._part("reasoning"), signature=signature, provider_name=self.provider_name
                )
                self._place = ("", self._place[1])  # what follows belongs to another part
            case ToolCallDelta(index, delta, id, name):
                is_new = index not in self._named
                self._named.add(index)
                yield from parts.handle_tool_call_delta_events(
                    vendor_part_id=("call", index),
                    tool_name=name if is_new else None,
                    args=delta or None,
                    tool_call_id=id if is_new else None,
                )
                self._place = ("call", self._place[1])
            case PartReady(part=Image() | Audio() as part):
                file = file_of(part, self.provider_name)
                if file is not None:
                    yield parts.handle_part(vendor_part_id=None, part=file)
            case Restarted():
                raise UserError("an agent cannot take back text: use a router whose on_interrupt is not 'restart'")
            case End(finish_reason=reason, usage=usage):
                answer = self._stream.response
                self.finish_reason = finish_reason_of(reason)
                self.provider_response_id = answer.response_id
                self.provider_details = details_of(answer)
                self._usage = usage_of(usage)
            case _:
                pass  # the message in `provider_details` has the other parts

    def _part(self, kind: str) -> tuple[str, int]:
        """Return the id of the part that grows: another one begins when the kind changes."""
        if self._place[0] != kind:
            self._place = (kind, self._place[1] + 1)
        return self._place

    async def close_stream(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    def get_stream_cancel_errors(self) -> tuple[type[BaseException], ...]:
        """Return the errors of a read that `close_stream` interrupts."""
        return (TransportError,)

    @property
    def model_name(self) -> str:
        """The provider's own name of the model."""
        return self._stream.response.served_model or self._stream.model.model_id

    @property
    def provider_name(self) -> str:
        """The provider that answers."""
        return self._stream.model.provider

    @property
    def provider_url(self) -> None:
        """Not told: a URL may be the program's secret."""
        return None

    @property
    def timestamp(self) -> datetime:
        """When the first content arrived."""
        return self._timestamp
