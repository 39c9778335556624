"""Turnout routes an LLM request to the right provider, and to the next one if that provider fails.

This package is pure: it does no I/O and reads no clock. `turnout_io` has the routers.

Each name below is loaded when it is first used, so that `import turnout` is fast.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from turnout.chat import (
        Capability,
        ChatRequest,
        ChatResponse,
        FinishReason,
        ModelConfig,
        ModelInfo,
        ProviderStatus,
        ResponseFormat,
        Usage,
    )
    from turnout.embeddings import EmbeddingRequest, EmbeddingResponse, Vectors
    from turnout.errors import (
        AllAttemptsFailed,
        DeadlineExceeded,
        MissingCredentials,
        ProviderError,
        StreamInterrupted,
        TransportError,
        TurnoutError,
    )
    from turnout.events import (
        AudioDelta,
        CommentaryDelta,
        End,
        Event,
        LogprobsDelta,
        PartReady,
        PartSigned,
        Reasoning,
        RefusalDelta,
        Restarted,
        Token,
        ToolCallDelta,
        ToolCallReady,
    )
    from turnout.messages import (
        Audio,
        Commentary,
        File,
        Image,
        Message,
        Role,
        Text,
        Thinking,
        Tool,
        ToolCall,
        ToolChoice,
    )
    from turnout.reranking import RankedDocument, RerankRequest, RerankResponse
    from turnout.token_counting import TokenCount

__all__ = [
    "AllAttemptsFailed",
    "Audio",
    "AudioDelta",
    "Capability",
    "ChatRequest",
    "ChatResponse",
    "Commentary",
    "CommentaryDelta",
    "DeadlineExceeded",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "End",
    "Event",
    "File",
    "FinishReason",
    "Image",
    "LogprobsDelta",
    "Message",
    "MissingCredentials",
    "ModelConfig",
    "ModelInfo",
    "PartReady",
    "PartSigned",
    "ProviderError",
    "ProviderStatus",
    "RankedDocument",
    "Reasoning",
    "RefusalDelta",
    "RerankRequest",
    "RerankResponse",
    "ResponseFormat",
    "Restarted",
    "Role",
    "StreamInterrupted",
    "Text",
    "Thinking",
    "Token",
    "TokenCount",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallReady",
    "ToolChoice",
    "TransportError",
    "TurnoutError",
    "Usage",
    "Vectors",
]

_HOMES = {
    "chat": (
        "Capability",
        "ChatRequest",
        "ChatResponse",
        "FinishReason",
        "ModelConfig",
        "ModelInfo",
        "ProviderStatus",
        "ResponseFormat",
        "Usage",
    ),
    "embeddings": ("EmbeddingRequest", "EmbeddingResponse", "Vectors"),
    "errors": (
        "AllAttemptsFailed",
        "DeadlineExceeded",
        "MissingCredentials",
        "ProviderError",
        "StreamInterrupted",
        "TransportError",
        "TurnoutError",
    ),
    "events": (
        "AudioDelta",
        "CommentaryDelta",
        "End",
        "Event",
        "LogprobsDelta",
        "PartReady",
        "PartSigned",
        "Reasoning",
        "RefusalDelta",
        "Restarted",
        "Token",
        "ToolCallDelta",
        "ToolCallReady",
    ),
    "messages": (
        "Audio",
        "Commentary",
        "File",
        "Image",
        "Message",
        "Role",
        "Text",
        "Thinking",
        "Tool",
        "ToolCall",
        "ToolChoice",
    ),
    "reranking": ("RankedDocument", "RerankRequest", "RerankResponse"),
    "token_counting": ("TokenCount",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
# The names of modules that hints look up are not here: `turnout.chat(…)` is an attempt to call it. Statements such as
# `from turnout import chat` import them nevertheless, because `_refuse_habit` raises AttributeError for them.
_MODULES = frozenset(
    """batch config contract embeddings errors events framing http inputs messages prices providers redaction
    reranking routing serving shared simulation token_counting trace typed types""".split()
)


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if home is None:
        if not name.startswith("_"):
            _refuse_habit(name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def _refuse_habit(name: str) -> None:
    """Raise an error for a name that is elsewhere.

    For the name of a module it is AttributeError: after it, `from turnout import …` imports the module.
    """
    from importlib.util import find_spec

    from turnout._utils.hints.names import habit_of_root, refusal

    # Only classes are looked for among the errors: an import statement looks here first for the names of modules.
    errors = importlib.import_module(f"{__name__}.errors").__all__ if name[:1].isupper() else ()
    advice = habit_of_root(name, errors)
    if advice is None:
        return
    if find_spec(f"{__name__}.{name}") is not None:
        raise AttributeError(f"turnout has no {name!r}: {advice}")
    raise refusal(__name__, name, advice)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Module(ModuleType):
    """This module. It refuses settings such as `turnout.drop_params = True`, which would have no effect."""

    def __setattr__(self, name: str, value: object) -> None:
        # A class is no setting: `mock.patch("turnout.Router", create=True)` puts one here, and takes it away.
        is_class = name[:1].isupper() and not name.isupper()
        known = name.startswith("_") or is_class or name in globals() or isinstance(value, ModuleType)
        if not known:
            from turnout._utils.hints.names import setting_of_root

            raise AttributeError(f"turnout has no setting {name!r}: {setting_of_root(name)}")
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Module
