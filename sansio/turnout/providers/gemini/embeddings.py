"""The body of a Gemini request for embeddings, and the method that takes it.

Sources: the Gemini API reference ("Embeddings"), that of Vertex AI, and Google's own client (google-genai), which shows
the method of each model at Vertex AI.
"""

from __future__ import annotations

import re
from typing import Any

from turnout.embeddings import EmbeddingRequest
from turnout.errors import CapabilityUnsupported

__all__ = ["embed_body"]

_PURPOSES = {"query": "RETRIEVAL_QUERY", "document": "RETRIEVAL_DOCUMENT"}
# Models with one method at Vertex AI and at AI Studio; older ones, such as text-embedding-005, know `predict` only.
_EMBED_CONTENT = re.compile(r".*(gemini|maas)")
_ONE_AT_A_TIME = re.compile(r".*maas")


def embed_body(request: EmbeddingRequest, model_id: str, *, vertex: bool) -> tuple[str, dict[str, Any]]:
    """The method and its body, for a model's id without `models/`.

    Raises:
        CapabilityUnsupported: If there are several texts and the model takes one.
    """
    purpose = _PURPOSES.get(request.purpose or "", request.purpose)
    if vertex and not _EMBED_CONTENT.match(model_id):
        instances = [{"content": text} | ({"task_type": purpose} if purpose else {}) for text in request.input]
        body: dict[str, Any] = {"instances": instances}
        if request.dimensions is not None:
            body["parameters"] = {"outputDimensionality": request.dimensions}
        return "predict", body | dict(request.model.extra)
    options: dict[str, Any] = {}
    if purpose:
        options["taskType"] = purpose
    if request.dimensions is not None:
        options["outputDimensionality"] = request.dimensions
    if vertex:
        options = {"embedContentConfig": options} if options else {}
    else:
        options["model"] = f"models/{model_id}"
    asked = [{"content": {"parts": [{"text": text}]}, **options} for text in request.input]
    if vertex and len(asked) == 1:
        return "embedContent", asked[0] | dict(request.model.extra)
    if vertex and _ONE_AT_A_TIME.match(model_id):
        raise CapabilityUnsupported(f"{request.model}: embeds one text at a time")
    return "batchEmbedContents", {"requests": asked} | dict(request.model.extra)
