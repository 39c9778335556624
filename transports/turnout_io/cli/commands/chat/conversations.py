"""The file of conversations: what `turnout chat` keeps, so that `-c` can continue it. An SQLite database.

It holds prompts and answers in clear text, so only its owner can read it. The first use prints its path.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from turnout.chat import ChatResponse
from turnout.messages import Message

__all__ = ["Conversation", "ConversationsError", "Turn", "conversations_file", "keep", "open_file", "read_turns"]

VERSION = 1
_SCHEMA = """
CREATE TABLE turns (
    id INTEGER PRIMARY KEY,
    conversation TEXT NOT NULL,
    at REAL NOT NULL,           -- seconds since 1970
    model TEXT NOT NULL,        -- that answered, as provider/model
    served_model TEXT,          -- the provider's name of it
    messages TEXT NOT NULL,     -- JSON: the messages of this turn, the answer last
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cost REAL,
    incomplete TEXT             -- NULL, or why the answer broke off
);
CREATE INDEX turns_by_conversation ON turns (conversation, id);
PRAGMA user_version = 1;
"""
_COLUMNS = "conversation, at, model, served_model, messages, prompt_tokens, completion_tokens, cost, incomplete"

_SANDBOX = "sandbox-"


class ConversationsError(ValueError):
    """The file of conversations cannot be used."""


@attrs.frozen
class Conversation:
    """A conversation so far.

    Attributes:
        id: Its id.
        messages: Its messages in order.
        model: The model of its last answer, as provider/model; "" if there is none.
    """

    # The id says who answers, because the model of an invented answer has the name of a real one.
    id: str
    messages: tuple[Message, ...] = ()
    model: str = ""

    @classmethod
    def new(cls, *, sandbox: bool = False) -> Conversation:
        """Return an empty conversation.

        Args:
            sandbox: Whether a sandbox answers it.
        """
        return cls(f"{_SANDBOX if sandbox else ''}{secrets.token_hex(6)}")

    @property
    def is_of_sandbox(self) -> bool:
        """True if a sandbox invented its answers."""
        return self.id.startswith(_SANDBOX)


@attrs.frozen
class Turn:
    """One question and its answer, as they were kept. `incomplete` is why the answer broke off."""

    id: int
    conversation: str
    at: float
    model: str
    served_model: str | None
    messages: tuple[Message, ...]
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: float | None
    incomplete: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        fields = attrs.asdict(self, recurse=False)
        return {**fields, "messages": [message.to_dict() for message in self.messages]}


def conversations_file(folder: Path) -> Path:
    """Return the file of conversations in the user's folder."""
    return folder / "conversations.db"


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file of conversations, or create it.

    Raises:
        ConversationsError: If it is of another version, or no such file.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # SQLite would create the file readable by everybody.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as database, database:
            # Two processes can create the tables at the same time: the second one waits here, and then sees them.
            database.execute("BEGIN IMMEDIATE")
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    database.execute(statement)
            elif version != VERSION:
                raise ConversationsError(f"{path} has version {version}; this release reads version {VERSION}")
            else:
                _add_column(database)
            yield database
    except sqlite3.Error as error:
        raise ConversationsError(f"{path}: {error}") from error


def _add_column(database: sqlite3.Connection) -> None:
    """Add the column of incomplete answers, which older releases did not have and do not miss."""
    if "incomplete" not in {column[1] for column in database.execute("PRAGMA table_info(turns)")}:
        database.execute("ALTER TABLE turns ADD COLUMN incomplete TEXT")


def keep(
    path: Path,
    conversation: Conversation,
    new_messages: tuple[Message, ...],
    reply: ChatResponse,
    *,
    incomplete: str | None = None,
) -> bool:
    """Add a question and its answer to a conversation. Return True if the file was created for it.

    Args:
        path: The file.
        conversation: The conversation so far.
        new_messages: The question, perhaps with a system message before it.
        reply: The answer, or what came of it.
        incomplete: Why the answer broke off. Only its text is kept then, because providers reject half a tool call.
    """
    is_new = not path.exists()
    answer = reply.message if incomplete is None else Message.assistant(reply.text or reply.refusal or "")
    stored = json.dumps([message.to_dict() for message in (*new_messages, answer)], ensure_ascii=False)
    # Half of a surrogate pair, which UTF-8 cannot hold, is \\uXXXX in JSON.
    stored = stored.encode("utf-8", "backslashreplace").decode()
    with open_file(path) as database:
        database.execute(
            f"INSERT INTO turns ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                conversation.id,
                time.time(),
                str(reply.model),
                reply.served_model,
                stored,
                reply.usage.prompt_tokens,
                reply.usage.completion_tokens,
                reply.trace.cost,
                incomplete,
            ),
        )
    return is_new


def read_turns(path: Path, *, conversation: str | None = None, last: int | None = None) -> list[Turn]:
    """Return kept turns, the oldest first.

    Args:
        path: The file, which may not exist.
        conversation: Only those of this conversation.
        last: At most so many, the newest.

    Raises:
        ConversationsError: If the file cannot be read.
    """
    if not path.exists():
        return []
    with open_file(path) as database:
        rows = database.execute(
            f"SELECT id, {_COLUMNS} FROM turns WHERE ? IS NULL OR conversation = ? ORDER BY id DESC LIMIT ?",
            (conversation, conversation, -1 if last is None else last),
        ).fetchall()
    try:
        return [_turn(row) for row in reversed(rows)]
    except ValueError as error:
        raise ConversationsError(f"{path}: a message cannot be read: {error}") from error


def _turn(row: Sequence[Any]) -> Turn:
    number, conversation, at, model, served_model, messages, prompt_tokens, completion_tokens, cost, incomplete = row
    return Turn(
        id=number,
        conversation=conversation,
        at=at,
        model=model,
        served_model=served_model,
        messages=tuple(map(Message.from_dict, json.loads(messages))),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cost=cost,
        incomplete=incomplete,
    )


def last_conversation(path: Path, name: str | None = None) -> Conversation | None:
    """Return the newest conversation, or the one with this id; None if there is none."""
    if name is None:
        newest = read_turns(path, last=1)
        if not newest:
            return None
        name = newest[0].conversation
    turns = read_turns(path, conversation=name)
    if not turns:
        return None
    return Conversation(name, tuple(message for turn in turns for message in turn.messages), turns[-1].model)
