"""The bytes that the chunks of one stream have around their text: with most servers, the same in each.

A chunk of 250 bytes has some letters of text. If only the text differs from a chunk that was read before, nothing else
must be read again. That costs a third of decoding the chunk.

This is exact: JSON with another string in the place of one string has the same values, but for that string. Which
string is the text is not guessed: `learn` puts another text there, decodes the chunk, and compares.
"""

from __future__ import annotations

import re

import attrs
import msgspec

from turnout.providers.json_codec import UNREADABLE
from turnout.providers.openai_chat.wire import Chunk

__all__ = ["TextTemplate", "decode_text"]

decode_text = msgspec.json.Decoder(str).decode
_decode = msgspec.json.Decoder(Chunk).decode

# A quote inside of a string has a backslash before it, so this is a key and not a part of a text.
_CONTENT = re.compile(rb'(?<!\\)"content": ?("[^"\\]*(?:\\.[^"\\]*)*")')
_OTHER_TEXT = "another text"
# A server with something new in each chunk, such as a time, has no template. This many chunks show that.
_MAX_TRIES = 3
_MAX_FRAME = 4096
_NO_BYTES = b"\0"  # no JSON begins with it


@attrs.define(eq=False)
class TextTemplate:
    """The template of one stream.

    Attributes:
        before: The bytes before the text; bytes that begin no chunk while there is no template.
        after: The bytes after it.
    """

    before: bytes = attrs.field(default=_NO_BYTES, init=False)
    after: bytes = attrs.field(default=b"", init=False)
    _tries: int = attrs.field(default=0, init=False)

    @property
    def may_learn(self) -> bool:
        """True if a chunk that does not fit may still give a template."""
        return self._tries < _MAX_TRIES

    def learn(self, frame: bytes) -> None:
        """Take the bytes around the text of a chunk with one choice, which holds a text and nothing else."""
        self._tries += 1
        found = _CONTENT.search(frame) if len(frame) <= _MAX_FRAME else None
        if found is None:
            return
        before, after = frame[: found.start(1)], frame[found.end(1) :]
        try:
            other = _decode(b'%b"%b"%b' % (before, _OTHER_TEXT.encode(), after))
        except UNREADABLE:
            return
        choices = other.choices or ()
        if len(choices) == 1 and (delta := choices[0].delta) is not None and delta.content == _OTHER_TEXT:
            self.before, self.after = before, after
