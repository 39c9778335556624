"""Chat requests. The classes of models, settings and responses can be imported from here too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from turnout._utils.names import Advised, Elsewhere
from turnout._utils.validation import instance, instances, labels
from turnout.messages import Message, Tool, ToolChoice
from turnout.responses import ChatResponse, FinishReason, RateLimit, RateWindow, Usage
from turnout.types.models import Capability, ModelConfig, ModelInfo, ProviderStatus, as_model, as_models
from turnout.types.response_format import ResponseFormat

if TYPE_CHECKING:
    from typing import Unpack

    from turnout.inputs.types import Conversation, ModelSettings, ResponseFormatLike, ToolChoiceLike, ToolLike

__all__ = [
    "Capability",
    "ChatRequest",
    "ChatResponse",
    "FinishReason",
    "ModelConfig",
    "ModelInfo",
    "ProviderStatus",
    "RateLimit",
    "RateWindow",
    "ResponseFormat",
    "Usage",
]


def _messages(value: Any) -> tuple[Message, ...]:
    if isinstance(value, str):
        return (Message.user(value),) if value else ()
    if type(value) in (tuple, list) and all(type(message) is Message for message in value):
        return tuple(value)
    from turnout.inputs.conversation import messages_of

    return messages_of(value)


def _tools(value: Any) -> tuple[Tool, ...]:
    if not value:
        return ()
    if type(value) in (tuple, list) and all(type(tool) is Tool for tool in value):
        return tuple(value)
    from turnout.inputs.tools import tools_of

    return tools_of(value)


def _tool_choice(value: Any) -> ToolChoice | None:
    if value is None or type(value) is ToolChoice:
        return value
    from turnout.inputs.tools import tool_choice_of

    choice: ToolChoice = tool_choice_of(value)
    return choice


def _response_format(value: Any) -> ResponseFormat | None:
    if value is None or type(value) is ResponseFormat:
        return value
    from turnout.inputs.response_formats import response_format_of

    format: ResponseFormat = response_format_of(value)
    return format


_LISTS = (tuple, list)
_ONLY_MESSAGES = frozenset({Message})
_ONLY_MODELS = frozenset({ModelConfig})


@attrs.frozen(init=False)
class ChatRequest(Advised):
    """A conversation for `model` to continue, or for one of `fallbacks`, in this order. Immutable.

    Attributes:
        model: A `ModelConfig`, or its name as `openai/gpt-4o-mini` or `route/fast`.
        messages: The conversation, or the text of one question. Messages may be dicts, ours or OpenAI's.
        fallbacks: Further models, each as `model`, or one alone.
        tools: Tools, Python functions (see `Tool.of`), or dicts in the form of OpenAI.
        tool_choice: A `ToolChoice`, or `auto`, `none`, `required`, or the name of a tool.
        parallel_tool_calls: Whether the model may call several tools at once.
        response_format: A `ResponseFormat`, or a class (see `ResponseFormat.of`).
        metadata: The caller's own labels. They stay in the trace, and no provider receives them.
    """

    model: ModelConfig = attrs.field(converter=as_model, validator=instance(ModelConfig))
    messages: tuple[Message, ...] = attrs.field(converter=_messages, validator=instances(Message))
    fallbacks: tuple[ModelConfig, ...] = attrs.field(
        default=(), converter=as_models, validator=instances(ModelConfig), kw_only=True
    )
    tools: tuple[Tool, ...] = attrs.field(default=(), converter=_tools, validator=instances(Tool), kw_only=True)
    tool_choice: ToolChoice | None = attrs.field(
        default=None, converter=_tool_choice, validator=instance(ToolChoice), kw_only=True
    )
    parallel_tool_calls: bool | None = attrs.field(default=None, kw_only=True)
    response_format: ResponseFormat | None = attrs.field(
        default=None, converter=_response_format, validator=instance(ResponseFormat), kw_only=True
    )
    metadata: Mapping[str, Any] = attrs.field(factory=dict, converter=labels, kw_only=True)

    if not TYPE_CHECKING:
        copy = Elsewhere("write attrs.evolve(request, messages=…)")
        replace = Elsewhere("write attrs.evolve(request, messages=…)")
        model_copy = Elsewhere("write attrs.evolve(request, messages=…)")
        model_dump = Elsewhere("write attrs.asdict(request)")
        to_dict = Elsewhere("write attrs.asdict(request)")

    if TYPE_CHECKING:

        def __attrs_init__(self, *args: Any, **fields: Any) -> None: ...

    def __init__(
        self,
        model: ModelConfig | str,
        messages: Conversation,
        *,
        fallbacks: Iterable[ModelConfig | str] = (),
        tools: Iterable[ToolLike] = (),
        tool_choice: ToolChoiceLike | None = None,
        parallel_tool_calls: bool | None = None,
        response_format: ResponseFormatLike | None = None,
        metadata: Mapping[str, Any] | None = None,
        **settings: Unpack[ModelSettings],
    ) -> None:
        """Make a request.

        Args:
            model: See the class; so are the other fields.
            **settings: Settings of `ModelConfig`, such as `temperature`. They hold for the model and every fallback.

        Raises:
            TypeError: If a value has the wrong type, or a keyword is not known. The error names it.
            ValueError: If a value does not fit. The error names its field.
        """
        if settings:
            from turnout.inputs.keywords import apply_settings

            model, fallbacks = apply_settings(model, fallbacks, settings)
        if (
            type(model) is ModelConfig
            and type(messages) in _LISTS
            and {*map(type, messages)} == _ONLY_MESSAGES
            and type(fallbacks) in _LISTS
            and {*map(type, fallbacks)} <= _ONLY_MODELS
            and not (tools or metadata)
            and tool_choice is None
            and parallel_tool_calls is None
            and response_format is None
        ):
            # The usual request: nothing is to be converted or checked, and most of the work would be that.
            put = object.__setattr__
            put(self, "model", model)
            put(self, "messages", tuple(messages))
            put(self, "fallbacks", tuple(fallbacks))
            put(self, "tools", ())
            put(self, "tool_choice", None)
            put(self, "parallel_tool_calls", None)
            put(self, "response_format", None)
            put(self, "metadata", {})
            return
        self.__attrs_init__(
            model,
            messages,
            fallbacks=fallbacks,
            tools=tools,
            tool_choice=tool_choice,
            parallel_tool_calls=parallel_tool_calls,
            response_format=response_format,
            metadata=metadata or {},
        )

    def __attrs_post_init__(self) -> None:
        if not self.messages:
            raise ValueError("ChatRequest.messages must hold at least one message, or be a text that is not empty")
        choice = self.tool_choice
        if choice is None and not self.tools:
            return
        names = [tool.name for tool in self.tools]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"ChatRequest.tools must have different names, and two are named {twice!r}")
        if choice is not None and not self.tools and choice.mode in ("required", "named"):
            raise ValueError(
                "ChatRequest.tool_choice asks for a tool, but ChatRequest.tools is empty; "
                "for router.run(), write router.run(…, tools=[…], tool_choice=…)"
            )
        if choice is not None and choice.mode == "named" and choice.name not in names:
            raise ValueError(
                f"ChatRequest.tool_choice names {choice.name!r}, which is not among the tools; "
                "to demand a call of any tool, write tool_choice='required'"
            )

    def for_model(self, model: ModelConfig) -> ChatRequest:
        """Return the same conversation for another model, with no fallbacks."""
        if model is self.model and not self.fallbacks and type(self) is ChatRequest:
            return self
        again = object.__new__(ChatRequest)
        # Skip the validators, which accepted these values before: every attempt of every call runs this.
        put = object.__setattr__
        put(again, "model", model)
        put(again, "messages", self.messages)
        put(again, "fallbacks", ())
        put(again, "tools", self.tools)
        put(again, "tool_choice", self.tool_choice)
        put(again, "parallel_tool_calls", self.parallel_tool_calls)
        put(again, "response_format", self.response_format)
        put(again, "metadata", self.metadata)
        return again


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from turnout._utils.hints.names import missing_name

        raise missing_name(__name__, name)
