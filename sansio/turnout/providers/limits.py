"""How much of a response is read."""

from __future__ import annotations

import attrs

from turnout._utils.validation import integer
from turnout.errors import RemoteProtocolError

__all__ = ["OpaqueSize", "ResponseLimits", "how_to_raise"]

_MIB = 1024 * 1024
_DECODED = 256 * _MIB


@attrs.frozen(kw_only=True)
class ResponseLimits:
    """Limits of one response, after its content coding is undone.

    A response above a limit fails with RemoteProtocolError, which names the setting. The memory that it takes until
    then is at most four times the limit. All limits are in bytes, but for `output`. In a file they are in the section
    `responseLimits` of a provider.

    Attributes:
        document: A whole response that is no stream and holds no vectors. Real ones have images of several MiB.
        embeddings: A whole response with vectors: 2,048 vectors of 3,072 numbers in text are about 140 MiB.
        error_body: The body of an error. The rest is not read, and the error is made of the beginning.
        event: One event of a stream.
        output: Characters of text, reasoning and arguments, and bytes of media, of one answer.
    """

    document: int = attrs.field(default=64 * _MIB, validator=integer(1))
    embeddings: int = attrs.field(default=256 * _MIB, validator=integer(1))
    error_body: int = attrs.field(default=256 * 1024, validator=integer(1))
    event: int = attrs.field(default=16 * _MIB, validator=integer(1))
    output: int = attrs.field(default=64 * _MIB, validator=integer(1))

    @property
    def decoded(self) -> int:
        """The bytes that a compressed body of any kind may have once it is decoded."""
        return max(self.document, self.embeddings, _DECODED)


@attrs.define(eq=False)
class OpaqueSize:
    """Counts what a response holds that no event shows until its end, such as the input of a tool of the provider.

    Attributes:
        limit: `ResponseLimits.output`.
        used: The characters so far.
    """

    limit: int = ResponseLimits().output
    used: int = 0

    def add(self, size: int) -> None:
        """Count some characters, or as many as the memory of other values is worth.

        Raises:
            RemoteProtocolError: If the limit is reached.
        """
        self.used += size
        if self.used > self.limit:
            what = "parts that only the provider can read are larger than"
            raise RemoteProtocolError(f"{what} {self.limit} characters{how_to_raise('output')}")


def how_to_raise(limit: str) -> str:
    """Return the end of an error's message: the setting that raises a limit.

    Args:
        limit: A field of `ResponseLimits`, other than `error_body`, above which nothing fails.
    """
    return f"; responseLimits.{limit} of the provider sets this limit"
