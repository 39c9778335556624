"""The shapes of Gemini's responses. Every field is optional, because each is missing somewhere.

Parts are kept raw: fields that the vocabulary lacks go back to the provider unchanged.
"""

from __future__ import annotations

from typing import Any

import msgspec

from turnout.providers.json_codec import NULL

__all__ = [
    "Answer",
    "Candidate",
    "Embeddings",
    "FunctionCall",
    "InlineData",
    "ModalityCount",
    "Models",
    "Part",
    "UsageWire",
    "Values",
]


class FunctionCall(msgspec.Struct, gc=False):
    id: str | None = None
    name: str | None = None
    args: msgspec.Raw = NULL
    partialArgs: list[Any] | None = None  # noqa: N815 - the name on the wire
    willContinue: bool | None = None  # noqa: N815


class InlineData(msgspec.Struct, gc=False):
    mimeType: str | None = None  # noqa: N815
    data: str | None = None


class Part(msgspec.Struct, gc=False):
    text: str | None = None
    thought: bool | None = None
    thoughtSignature: str | None = None  # noqa: N815
    functionCall: FunctionCall | None = None  # noqa: N815
    inlineData: InlineData | None = None  # noqa: N815
    # The kinds that are kept as they are: here only to be seen beside those that are read.
    executableCode: msgspec.Raw = NULL  # noqa: N815
    codeExecutionResult: msgspec.Raw = NULL  # noqa: N815
    fileData: msgspec.Raw = NULL  # noqa: N815
    functionResponse: msgspec.Raw = NULL  # noqa: N815
    toolCall: msgspec.Raw = NULL  # noqa: N815
    toolResponse: msgspec.Raw = NULL  # noqa: N815


class Content(msgspec.Struct, gc=False):
    parts: list[msgspec.Raw] | None = None


class Candidate(msgspec.Struct, gc=False):
    content: Content | None = None
    finishReason: str | int | None = None  # noqa: N815
    finishMessage: str | None = None  # noqa: N815
    continuationToken: str | None = None  # noqa: N815
    index: int | None = None
    citationMetadata: Any = None  # noqa: N815
    groundingMetadata: Any = None  # noqa: N815
    logprobsResult: Any = None  # noqa: N815
    urlContextMetadata: Any = None  # noqa: N815
    safetyRatings: Any = None  # noqa: N815


class Feedback(msgspec.Struct, gc=False):
    safetyRatings: Any = None  # noqa: N815
    blockReason: str | None = None  # noqa: N815
    blockReasonMessage: str | None = None  # noqa: N815


class ModalityCount(msgspec.Struct, gc=False):
    modality: str | None = None
    tokenCount: int | None = None  # noqa: N815


class UsageWire(msgspec.Struct, gc=False):
    promptTokenCount: int | None = None  # noqa: N815
    toolUsePromptTokenCount: int | None = None  # noqa: N815
    candidatesTokenCount: int | None = None  # noqa: N815
    responseTokenCount: int | None = None  # noqa: N815 - the other name for it
    thoughtsTokenCount: int | None = None  # noqa: N815
    cachedContentTokenCount: int | None = None  # noqa: N815
    promptTokensDetails: list[ModalityCount] | None = None  # noqa: N815
    candidatesTokensDetails: list[ModalityCount] | None = None  # noqa: N815
    trafficType: str | None = None  # noqa: N815 - of Vertex AI


class Answer(msgspec.Struct, gc=False):
    candidates: list[Candidate] | None = None
    promptFeedback: Feedback | None = None  # noqa: N815
    usageMetadata: UsageWire | None = None  # noqa: N815
    modelVersion: str | None = None  # noqa: N815
    responseId: str | None = None  # noqa: N815
    error: Any = None


class Statistics(msgspec.Struct, gc=False):
    token_count: int | None = None


class Values(msgspec.Struct, gc=False):
    values: msgspec.Raw = NULL  # a list of numbers
    statistics: Statistics | None = None  # from Vertex AI


class Prediction(msgspec.Struct, gc=False):
    embeddings: Values | None = None


class Embeddings(msgspec.Struct, gc=False):
    embeddings: list[Values] | None = None
    embedding: Values | None = None
    predictions: list[Prediction] | None = None  # from Vertex AI's `predict`
    usageMetadata: UsageWire | None = None  # noqa: N815
    error: Any = None


class Model(msgspec.Struct, gc=False):
    name: str | None = None
    inputTokenLimit: int | None = None  # noqa: N815
    outputTokenLimit: int | None = None  # noqa: N815


class Models(msgspec.Struct, gc=False):
    models: list[Model] | None = None
    nextPageToken: str | None = None  # noqa: N815
    error: Any = None
