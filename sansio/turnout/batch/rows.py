"""The rows of a batch: reads a line of the input, and identifies its row.

A row is known by its `custom_id`, or by a digest of its content and its number among equal ones, never by its position:
rows may be inserted, removed and reordered between two runs. Its `key` is a digest of everything that decides the
answer. Its `print` is a cheap checksum of the bytes as they are in the file, so that a row that has not been touched is
recognised without being parsed.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from operator import attrgetter, itemgetter
from typing import Any, Final, Literal, TypeAlias

import attrs
import msgspec

from turnout._utils.caches import cached_if_short
from turnout._utils.documents import DocumentError, refuse_repeated_keys
from turnout.errors import TurnoutError

__all__ = [
    "BatchInputError",
    "BatchRow",
    "Endpoint",
    "InputLine",
    "InputProblems",
    "RowReader",
    "endpoint_of",
    "has_one_per_line",
    "split_lines",
]

Endpoint: TypeAlias = Literal["chat/completions", "responses", "messages", "embeddings"]
ENDPOINTS: Final[tuple[Endpoint, ...]] = ("chat/completions", "responses", "messages", "embeddings")
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
LONGEST_ID: Final = 512
MOST_PROBLEMS, MOST_LINES = 20, 3
SETTINGS: Final = (
    "temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty", "stop", "max_tokens",
    "max_completion_tokens", "logprobs", "top_logprobs", "reasoning_effort", "response_format", "tools", "tool_choice",
    "parallel_tool_calls", "logit_bias",
)  # fmt: skip
"""Fields of a simple row that are settings of its request."""

_NOTHING: Final = msgspec.Raw(b"")
_body, _custom_id = attrgetter("body"), attrgetter("custom_id")
_url, _method = attrgetter("url"), attrgetter("method")
_first, _last, _last_but_one = itemgetter(0), itemgetter(-1), itemgetter(-2)
_OF_ROWS = frozenset(("custom_id", "method", "url", "body"))
_OPENS, _CLOSES, _CARRIAGE_RETURN = frozenset(b"{"), frozenset(b"}"), frozenset(b"\r")


class BatchInputError(TurnoutError):
    """The input is wrong: nothing was sent."""


@attrs.define
class InputProblems:
    """Collects what is wrong with an input, so that one run reports all of it.

    Attributes:
        count: Problems that were noted.
    """

    count: int = attrs.field(default=0, init=False)
    # Of the first different problems: how many rows have each, and the lines of the first ones.
    _rows: Counter[str] = attrs.field(factory=Counter, init=False)
    _lines: dict[str, list[int]] = attrs.field(factory=dict, init=False)

    def note(self, problem: str, line: int = 0) -> None:
        """Note a problem.

        Args:
            problem: It names its lines, if `line` is 0.
            line: The line of a row that may have the same problem as others.
        """
        self.count += 1
        if problem not in self._lines:
            if len(self._lines) >= MOST_PROBLEMS:
                return
            self._lines[problem] = []
        self._rows[problem] += 1
        if line and len(self._lines[problem]) < MOST_LINES:
            self._lines[problem].append(line)

    def refuse(self) -> None:
        """Raise the error for the input.

        Raises:
            BatchInputError: If a problem was noted.
        """
        if not self.count:
            return
        texts = [self._text(problem) for problem in self._lines]
        if self.count > self._rows.total():
            texts.append(f"and {self.count - self._rows.total()} more")
        if len(texts) == 1:
            raise BatchInputError(texts[0])
        lines = "".join(f"\n  {text}" for text in texts)
        raise BatchInputError(f"the input has {self.count} problems, and nothing was sent:{lines}")

    def _text(self, problem: str) -> str:
        lines, more = self._lines[problem], self._rows[problem] - MOST_LINES
        if not lines:
            return problem
        named = ", ".join(map(str, lines)) + (f" and {more} more" if more > 0 else "")
        return f"line{'s' * (len(lines) > 1)} {named}: {problem}"


class InputLine(msgspec.Struct, gc=False):
    """The parts of one line. `body` and the rest stay as they are until the row is sent."""

    custom_id: str | None = None
    method: str = "POST"
    url: str = ""
    body: msgspec.Raw = _NOTHING
    prompt: msgspec.Raw = _NOTHING
    messages: msgspec.Raw = _NOTHING
    # Of a simple row, `RowReader.head` puts the whole line into `prompt`.

    def print(self, salt: int) -> int:
        """Return a checksum of the bytes that decide the answer.

        Args:
            salt: A checksum of the settings that decide it too.
        """
        if self.body:
            return zlib.crc32(self.body, zlib.crc32(self.url.encode(), salt)) << 32 | len(self.body)
        return zlib.crc32(self.prompt, salt) << 32 | len(self.prompt)


@attrs.define(eq=False)
class BatchRow:
    """One row to be answered.

    Attributes:
        custom_id: Which row it is.
        endpoint: What kind of request it is.
        body: The request, in the dialect of the endpoint.
        key: 16 hex digits; equal if everything that decides the answer is equal.
        print: A checksum of the row as it is in the file.
        kept: Fields of the row that are not for the model; the output has them too.
        line: The number of its line, from 1; 0 if it is from no file.
    """

    custom_id: str
    endpoint: Endpoint
    body: dict[str, Any]
    key: str
    print: int = 0
    kept: dict[str, Any] = attrs.field(factory=dict)
    line: int = 0


@cached_if_short(64, 1000)
def endpoint_of(url: str) -> Endpoint | None:
    """Return the endpoint at the end of a URL or a path; None if it is not a known one. Most rows have the same."""
    path = url.partition("?")[0].rstrip("/")
    return next((endpoint for endpoint in ENDPOINTS if path == endpoint or path.endswith(f"/{endpoint}")), None)


def split_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Return blocks of whole lines. A byte order mark at the start is left out.

    Args:
        blocks: The bytes of the file, cut anywhere.
    """
    held: list[bytes] = []
    mark = BYTE_ORDER_MARK  # until the first lines are whole: the mark may be cut, too
    for block in blocks:
        end = block.rfind(b"\n") + 1
        if not end:
            held.append(block)
            continue
        lines = b"".join((*held, block[:end])) if held else block[:end]
        yield lines.removeprefix(mark)
        mark = b""
        held = [block[end:]] if end < len(block) else []
    rest = b"".join(held).removeprefix(mark)
    if rest:
        yield rest


@attrs.define(eq=False)
class RowReader:
    """Turns lines into rows.

    Attributes:
        settings: What else decides the answer: the model or the route with its candidates, and their settings.
    """

    settings: str = ""
    salt: int = attrs.field(init=False)
    _equal: Counter[str] = attrs.field(factory=Counter, init=False)  # rows without an id that are alike
    _lines: msgspec.json.Decoder[InputLine] = attrs.field(
        factory=lambda: msgspec.json.Decoder(InputLine), init=False, repr=False
    )

    def __attrs_post_init__(self) -> None:
        self.salt = zlib.crc32(self.settings.encode())

    def heads(self, block: bytes, first_line: int = 1) -> list[InputLine]:
        """Return the parts of each line of a block. Empty lines are no rows.

        Raises:
            BatchInputError: If a line is not a row; the message has its number, counted from `first_line`.
        """
        # The usual block, lines of OpenAI's form, is read at once; any other line by line, for its number.
        try:
            heads = self._lines.decode_lines(block)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return [self.head(line, number) for number, line in numbered(block, first_line)]
        if (
            not has_one_per_line(block, len(heads))
            or not all(map(_body, heads))
            or not all(map(_custom_id, heads))
            or max(map(len, map(_custom_id, heads)), default=0) > LONGEST_ID
            or any(endpoint_of(url) is None for url in set(map(_url, heads)))
            or set(map(_method, heads)) - {"POST"}
        ):
            return [self.head(line, number) for number, line in numbered(block, first_line)]
        return heads

    def prints(self, heads: list[InputLine]) -> list[int]:
        """Return the checksum of each line, as `InputLine.print` does."""
        bodies, urls = list(map(_body, heads)), set(map(_url, heads))
        if not all(bodies) or len(urls) != 1:
            return [head.print(self.salt) for head in heads]
        salt, crc32 = zlib.crc32(urls.pop().encode(), self.salt), zlib.crc32
        return [crc32(body, salt) << 32 | len(body) for body in bodies]

    def head(self, line: bytes, number: int) -> InputLine:
        """Return the parts of one line.

        Raises:
            BatchInputError: If it is not a row.
        """
        try:
            head = self._lines.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BatchInputError(f"line {number} is not a row: {error}") from None
        if head.custom_id is not None and not 0 < len(head.custom_id) <= LONGEST_ID:
            raise BatchInputError(f"line {number}: custom_id must have 1 to {LONGEST_ID} characters")
        if head.method.upper() != "POST":
            raise BatchInputError(f"line {number}: method must be POST, not {head.method[:20]!r}")
        if head.body:
            if head.url and endpoint_of(head.url) is None:
                known = ", ".join(f"/v1/{endpoint}" for endpoint in ENDPOINTS)
                raise BatchInputError(f"line {number}: url {head.url[:80]!r} is not one of {known}")
        elif not head.prompt and not head.messages:
            raise BatchInputError(f"line {number} has no `body`, no `prompt` and no `messages`")
        elif head.url:
            raise BatchInputError(f"line {number} has a `url`, but no `body`")
        else:
            head.prompt = msgspec.Raw(line)  # any field may decide the answer
        return head

    def fields(self, head: InputLine, line: bytes, number: int) -> dict[str, Any]:
        """Return all fields of a line. This also checks the parts that `head` leaves as they are.

        Raises:
            BatchInputError: If a request cannot be made of them.
        """
        try:
            fields = msgspec.json.decode(line)
            refuse_repeated_keys(line, fields)
        except (msgspec.MsgspecError, DocumentError, UnicodeDecodeError, RecursionError) as error:
            raise BatchInputError(f"line {number} is not a row: {error}") from None
        assert isinstance(fields, dict)
        if head.body:
            if not isinstance(fields["body"], dict):
                raise BatchInputError(f"line {number}: body must be an object")
        elif not isinstance(fields.get("prompt"), str | None):
            raise BatchInputError(f"line {number}: prompt must be text")
        elif not isinstance(fields.get("messages"), list | None):
            raise BatchInputError(f"line {number}: messages must be a list")
        elif not isinstance(fields.get("system"), str | None):
            raise BatchInputError(f"line {number}: system must be text")
        return fields

    def row(self, line: bytes, number: int) -> BatchRow:
        """Return the row of one line. Rows without an id must all be read, and in order.

        Raises:
            BatchInputError: If it is not a row.
        """
        head = self.head(line, number)
        endpoint, body, kept = request_of(head, self.fields(head, line, number))
        canonical = canonical_json({"url": endpoint, "body": body})
        return BatchRow(
            head.custom_id or self._content_id(canonical),
            endpoint,
            body,
            digest(self.settings.encode() + b"\n" + canonical),
            head.print(self.salt),
            kept,
            number,
        )

    def content_id(self, line: bytes, number: int) -> str:
        """Return the identity of a row without an id, without making the whole row."""
        return self.row(line, number).custom_id

    def _content_id(self, canonical: bytes) -> str:
        content = digest(canonical)
        self._equal[content] += 1
        return f"{content}#{self._equal[content]}"


def request_of(head: InputLine, fields: dict[str, Any]) -> tuple[Endpoint, dict[str, Any], dict[str, Any]]:
    """Return the endpoint and the body of a row, and the fields that are not for the model.

    Args:
        head: The parts of its line.
        fields: All fields of its line.
    """
    kept = {name: value for name, value in fields.items() if name not in _OF_ROWS}
    if head.body:
        # Mistral's lines have no url, because the job has one.
        return endpoint_of(head.url) or "chat/completions", fields["body"], kept
    body: dict[str, Any] = {name: fields[name] for name in ("model", "messages") if name in fields}
    system, prompt = kept.pop("system", None), kept.pop("prompt", None)
    before = [{"role": "system", "content": system}] if system is not None else []
    after = [{"role": "user", "content": prompt}] if prompt is not None else []
    if before or after:
        body["messages"] = [*before, *(body.get("messages") or ()), *after]
    for name in body:
        kept.pop(name, None)
    body |= {name: kept.pop(name) for name in SETTINGS if name in kept}
    return "chat/completions", body, kept


def has_one_per_line(block: bytes, count: int) -> bool:
    """Return whether each line of a block is one of the objects that msgspec found in it.

    msgspec also takes an object that is broken into several lines, and several in one line. But a line break between
    two braces is always between two objects, because JSON has a comma there. So the braces at the ends of the lines
    tell, and lines with other ends are looked at one by one elsewhere.

    Args:
        block: Whole lines.
        count: How many objects were found.
    """
    lines = block.removesuffix(b"\n").split(b"\n")
    if len(lines) != count:
        return False
    try:
        last = set(map(_last, lines))
        if last == _CARRIAGE_RETURN:
            last = set(map(_last_but_one, lines))
        return last == _CLOSES and set(map(_first, lines)) == _OPENS
    except IndexError:  # an empty line
        return False


def numbered(block: bytes, first_line: int) -> Iterator[tuple[int, bytes]]:
    """Return the lines of a block that are not empty, with their numbers."""
    for offset, line in enumerate(block.split(b"\n")):
        if line and not line.isspace():
            yield first_line + offset, line


def canonical_json(value: Any) -> bytes:
    """Return JSON that is the same for equal values: keys in order, no white space."""
    return msgspec.json.encode(value, order="sorted")


def digest(data: bytes) -> str:
    """Return 16 hex digits of SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]
