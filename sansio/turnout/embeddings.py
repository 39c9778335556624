"""Embedding requests, and their vectors."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import attrs

from turnout._utils.serialization import Plain
from turnout._utils.validation import as_tuple, instance, instances, integer, labels, non_empty
from turnout.responses import RateLimit, Usage, or_empty
from turnout.types.models import ModelConfig, as_model, as_models

if TYPE_CHECKING:
    from turnout.trace import Trace

    FloatView = memoryview[float]
else:
    FloatView = memoryview  # generic for type checkers only, before Python 3.14

__all__ = ["EmbeddingRequest", "EmbeddingResponse", "Vectors"]


class Vectors(Sequence[FloatView]):
    """`len(vectors)` vectors of `dimensions` native float32 each, in one contiguous buffer.

    `vectors[0]` is a memoryview of floats; `vectors.buffer` is the whole as an n × d memoryview;
    `numpy.asarray(vectors)` takes the n × d array without a copy. Immutable by convention.
    """

    __slots__ = ("_floats", "dimensions")

    def __init__(self, floats: array[float], dimensions: int) -> None:
        """Keep an `array("f")` of n × `dimensions` numbers, without a copy."""
        if floats.typecode != "f":
            raise TypeError(f"Vectors takes an array('f'), not array({floats.typecode!r})")
        if len(floats) % dimensions if dimensions else len(floats):
            raise ValueError(f"{len(floats)} numbers are no whole number of vectors of {dimensions}")
        self._floats = floats
        self.dimensions = dimensions

    @classmethod
    def of(cls, vectors: Iterable[Sequence[float]]) -> Vectors:
        """Return the vectors of rows of numbers, all of one length."""
        floats = array("f")
        lengths = set()
        for vector in vectors:
            try:
                # A fifth of the cost of `extend`.
                floats.frombytes(struct.pack(f"={len(vector)}f", *vector))
            except (struct.error, OverflowError):
                floats.extend(vector)  # numbers out of the range of float32 become inf; the error for others is clear
            lengths.add(len(vector))
        if len(lengths) > 1:
            raise ValueError(f"vectors of one answer have different lengths: {sorted(lengths)}")
        return cls(floats, lengths.pop() if lengths else 0)

    @classmethod
    def from_little_endian(cls, packed: bytes | Iterable[bytes], dimensions: int) -> Vectors:
        """Return the vectors of packed little-endian float32, in one or several pieces. Providers send it in base64."""
        floats = array("f")
        # To join the pieces first would take more memory, and more time than everything else here.
        for piece in (packed,) if isinstance(packed, bytes) else packed:
            floats.frombytes(piece)
        if sys.byteorder == "big":
            floats.byteswap()
        return cls(floats, dimensions)

    @classmethod
    def joined(cls, parts: Iterable[Vectors]) -> Vectors:
        """Return the vectors of several responses, in order. All must have the same length."""
        known = [part for part in parts if len(part)]
        if len(known) == 1:
            return known[0]
        floats = array("f")
        dimensions = 0
        for part in known:
            if dimensions and part.dimensions != dimensions:
                raise ValueError(f"vectors of {dimensions} and of {part.dimensions} numbers cannot be joined")
            dimensions = part.dimensions
            floats.extend(part._floats)
        return cls(floats, dimensions)

    @property
    def buffer(self) -> FloatView:
        """All numbers as one n × d memoryview of native float32."""
        flat: FloatView = memoryview(self._floats)
        return flat.cast("B").cast("f", (len(self), self.dimensions)) if len(self) else flat

    def to_little_endian(self) -> bytes:
        """Return all numbers as packed little-endian float32, which `from_little_endian` reads."""
        if sys.byteorder == "little":
            return self._floats.tobytes()
        swapped = self._floats[:]
        swapped.byteswap()
        return swapped.tobytes()

    def tolist(self) -> list[list[float]]:
        numbers = self._floats.tolist()
        return [numbers[at : at + self.dimensions] for at in range(0, len(numbers), self.dimensions or 1)]

    @property
    def __array_interface__(self) -> dict[str, Any]:
        # numpy's array interface, version 3: the object under "data" is taken through its buffer, without a copy.
        order = "<" if sys.byteorder == "little" else ">"
        return {
            "version": 3,
            "shape": (len(self), self.dimensions),
            "typestr": f"{order}f4",
            "data": self._floats,
        }

    def __buffer__(self, flags: int) -> FloatView:  # PEP 688: Python 3.12 and later
        return self.buffer

    def __len__(self) -> int:
        return len(self._floats) // self.dimensions if self.dimensions else 0

    @overload
    def __getitem__(self, index: int) -> FloatView: ...
    @overload
    def __getitem__(self, index: slice) -> list[FloatView]: ...
    def __getitem__(self, index: int | slice) -> FloatView | list[FloatView]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"vector {index} of {len(self)}")
        start = (index % len(self)) * self.dimensions
        flat: FloatView = memoryview(self._floats)
        return flat[start : start + self.dimensions]

    def __iter__(self) -> Iterator[FloatView]:
        return (self[place] for place in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vectors):
            return NotImplemented
        return self.dimensions == other.dimensions and self._floats == other._floats

    __hash__ = None  # type: ignore[assignment]  # holds a mutable array

    def __reduce__(self) -> tuple[Any, ...]:
        return (Vectors, (self._floats, self.dimensions))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            from turnout._utils.hints.attributes import missing_attribute

            raise missing_attribute(self, name)

    def __repr__(self) -> str:
        return f"<Vectors {len(self)} × {self.dimensions}>"


def _inputs(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else as_tuple(value)


@attrs.frozen
class EmbeddingRequest:
    """Texts to turn into vectors, in order. If they exceed a provider's limit, several requests send them.

    Attributes:
        model: A `ModelConfig`, or its name as `openai/text-embedding-3-small`.
        input: The texts, or one text.
        dimensions: The length of the vectors, if the model supports a choice.
        purpose: The use of the vectors, which some models need: "query", "document", or a provider's own word.
        fallbacks: The *same* model at other providers. They need `family`, because vectors of another model corrupt a
            vector store without an error.
        family: The caller's assurance that `model` and `fallbacks` return the same vectors, for example "bge-m3".
        metadata: The caller's own labels. They stay in the trace, and no provider receives them.
    """

    model: ModelConfig = attrs.field(converter=as_model, validator=instance(ModelConfig))
    input: tuple[str, ...] = attrs.field(converter=_inputs, validator=instances(str))
    dimensions: int | None = attrs.field(default=None, kw_only=True, validator=integer(1))
    purpose: str | None = attrs.field(default=None, kw_only=True)
    fallbacks: tuple[ModelConfig, ...] = attrs.field(
        default=(), converter=as_models, validator=instances(ModelConfig), kw_only=True
    )
    family: str | None = attrs.field(default=None, kw_only=True, validator=attrs.validators.optional(non_empty))
    metadata: Mapping[str, Any] = attrs.field(factory=dict, converter=labels, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.input:
            raise ValueError("EmbeddingRequest.input must hold at least one text")
        if not all(self.input):
            raise ValueError(f"EmbeddingRequest.input[{self.input.index('')}] must not be empty")
        if self.fallbacks and self.family is None:
            raise ValueError(
                "EmbeddingRequest.fallbacks needs EmbeddingRequest.family, a name for the model that they all serve"
            )

    def for_model(self, model: ModelConfig, texts: tuple[str, ...] | None = None) -> EmbeddingRequest:
        """Return the same texts, or these of them, for another candidate, with no fallbacks."""
        again = object.__new__(EmbeddingRequest)
        # Skip the validators, which accepted these values before: there may be thousands of texts.
        put = object.__setattr__
        put(again, "model", model)
        put(again, "input", self.input if texts is None else texts)
        put(again, "dimensions", self.dimensions)
        put(again, "purpose", self.purpose)
        put(again, "fallbacks", ())
        put(again, "family", self.family)
        put(again, "metadata", self.metadata)
        return again


@attrs.frozen(kw_only=True)
class EmbeddingResponse(Plain):
    """One vector for each text, in order."""

    _items = ": the vectors are response.vectors"

    vectors: Vectors
    model: ModelConfig
    usage: Usage = Usage(source="absent")
    served_model: str | None = None
    request_id: str | None = None
    rate_limit: RateLimit | None = None
    _trace: Trace | None = attrs.field(default=None, repr=False, eq=False, alias="trace")

    @property
    def trace(self) -> Trace:
        """The record of the call; `Trace()` if no router made it."""
        return or_empty(self._trace)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            from turnout._utils.hints.attributes import missing_attribute

            raise missing_attribute(self, name)
