"""Plain sentences made from a prompt: the same prompt gives the same words, on every machine."""

from __future__ import annotations

import hashlib
import random
import re

__all__ = ["pieces_of", "reasoning_about", "seeded", "sentences_about", "words_in"]

_PIECE = re.compile(r"\s*\S{1,12}|\s+")
_WORD = re.compile(r"[^\W\d_]{4,}")

_OPENINGS = (
    "Here is a short answer about {topic}.",
    "Let me say a few things about {topic}.",
    "The question of {topic} has a plain answer.",
    "There is more than one way to look at {topic}.",
    "With {topic}, it helps to begin with what is known.",
)
_MIDDLES = (
    "Start with the smallest part that works, and measure before you change anything.",
    "Most of the cost lies in waiting, so do several things at once where you can.",
    "Keep what you have already, because it is cheaper than making it again.",
    "Two choices are good enough, and the third is only needed on busy days.",
    "Write down what you expect first, then compare it with what you see.",
    "A fallback is worth having, as long as somebody looks at how often it is used.",
    "What happens rarely still happens, so give it a name and a limit.",
    "The order matters less than it seems, but the deadline does not move.",
)
_CLOSINGS = (
    "That should be enough to go on with {topic}.",
    "If {topic} behaves in another way, look at the trace.",
    "I would try this with {topic} on a small example first.",
    "Ask again about {topic} when you know the numbers.",
)
_PLAIN_WORDS = """
about after also answer anything back been before could does from give have help here into just like make more only
other over please should show some tell than that their them then there these they this time very want were what when
where which will with would write your
"""
_PLAIN = frozenset(_PLAIN_WORDS.split())


def seeded(*parts: str) -> random.Random:
    """A generator that depends on the texts only, not on the process's hash seed."""
    return random.Random(int.from_bytes(hashlib.sha256("\x1f".join(parts).encode("utf-8", "replace")).digest()[:8]))


def topic_of(prompt: str) -> str:
    """The longest word that carries meaning; the first of several."""
    words = [word for word in _WORD.findall(prompt[-4000:]) if word.lower() not in _PLAIN]
    return max(words, key=len, default="this")


def sentences_about(prompt: str, salt: str) -> str:
    """Three to five sentences. `salt` (provider and model) makes answers of different models differ."""
    rng = seeded("answer", salt, prompt)
    middles = rng.sample(_MIDDLES, rng.randint(1, 3))
    lines = [rng.choice(_OPENINGS), *middles, rng.choice(_CLOSINGS)]
    return " ".join(lines).format(topic=topic_of(prompt))


def reasoning_about(prompt: str, salt: str) -> str:
    """Return the reasoning before `sentences_about`."""
    rng = seeded("reasoning", salt, prompt)
    topic = topic_of(prompt)
    first = f"The user wants to know about {topic}, so I first look at the question."
    return f"{first} {rng.choice(_MIDDLES)} Then I can answer in a few sentences."


def pieces_of(text: str) -> list[str]:
    """The text as the pieces that a model would stream: about a word each, joined they are the text."""
    return _PIECE.findall(text)


def words_in(text: str) -> int:
    """How many tokens a text counts for."""
    return len(_PIECE.findall(text))
