"""Finds the sentence of a file that is closest to a question: python examples/search.py FILE QUESTION"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from turnout import EmbeddingRequest
from turnout_io.sync import Router

MODEL = "openai/text-embedding-3-small"


def similarity(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine of the angle between two vectors."""
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


def main() -> None:
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    sentences = [sentence.strip() for sentence in text.replace("\n", " ").split(". ") if sentence.strip()]
    with Router.from_env(timeout=60) as router:
        vectors = router.embed(EmbeddingRequest(MODEL, [*sentences, sys.argv[2]])).vectors
    question = vectors[len(sentences)].tolist()
    best = max(range(len(sentences)), key=lambda n: similarity(vectors[n].tolist(), question))
    print(sentences[best])


if __name__ == "__main__":
    main()
