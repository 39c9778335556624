"""Turnout routes an LLM request to the right provider, and on to the next one when that track is closed.

This package is pure: it opens nothing, reads nothing and knows no time. `turnout_io` has the routers that do.
"""

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
from turnout.events import End, Event, Reasoning, Restarted, Token, ToolCallDelta, ToolCallReady
from turnout.messages import Audio, File, Image, Message, Role, Text, Thinking, Tool, ToolCall, ToolChoice
from turnout.reranking import RankedDocument, RerankRequest, RerankResponse
from turnout.token_counting import TokenCount

__all__ = [
    "AllAttemptsFailed",
    "Audio",
    "Capability",
    "ChatRequest",
    "ChatResponse",
    "DeadlineExceeded",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "End",
    "Event",
    "File",
    "FinishReason",
    "Image",
    "Message",
    "MissingCredentials",
    "ModelConfig",
    "ModelInfo",
    "ProviderError",
    "ProviderStatus",
    "RankedDocument",
    "Reasoning",
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
