"""Removes secrets and control characters from text, because text from a server is shown to users and logged.

All code uses the same list of secret names, the same way to remove known secrets from a text, and the same way to make
a text safe to print. `Secret` is a text type with a `repr` that shows nothing.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import inspect
import json
import re
import traceback
from collections.abc import Callable, Iterable
from typing import Final, ParamSpec, SupportsIndex, TypeVar
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

__all__ = [
    "HIDDEN",
    "SECRET_HEADERS",
    "SECRET_NAME",
    "SECRET_QUERY",
    "Redactor",
    "Secret",
    "clear_locals",
    "escape_controls",
    "hidden",
    "secret_forms",
    "secrets_of_header",
    "secrets_of_url",
    "without_locals",
]

HIDDEN: Final = "***"

ValueT = TypeVar("ValueT")
ParamsT = ParamSpec("ParamsT")
ResultT = TypeVar("ResultT")

# Header fields that carry a credential: shown in no repr, trace or cassette.
SECRET_HEADERS: Final = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "cookie",
        "set-cookie",
        "x-amz-security-token",
    }
)
# Query parameters that carry one, in lower case: keys and tokens, and the signatures of AWS, Azure and Google.
SECRET_QUERY: Final = frozenset(
    {
        "access_token",
        "api-key",
        "api_key",
        "apikey",
        "auth",
        "code",
        "key",
        "password",
        "secret",
        "sig",
        "signature",
        "subscription-key",
        "token",
        "x-amz-credential",
        "x-amz-security-token",
        "x-amz-signature",
        "x-goog-credential",
        "x-goog-signature",
    }
)
SECRET_NAME: Final = re.compile(r"auth|cookie|credential|key|passw|secret|session|signature|token", re.IGNORECASE)
"""The name of a header field, a parameter or a setting that holds a credential, or something harmless to hide."""
# Header fields that a user sets and that name no one.
_PUBLIC_HEADERS = frozenset(
    "accept accept-encoding accept-language anthropic-beta anthropic-version content-type http-referer "
    "openai-organization openai-project user-agent x-title".split()
)
# A shorter secret is no real key, and is found inside ordinary words.
_MIN_LENGTH = 6
_MIN_BASE64 = 12

# Credentials that their form reveals, also those of others: a proxy's password, or the key of another program.
_CREDENTIALS = re.compile(
    r"(?P<scheme>\b(?:basic|bearer)[ :]{1,3}\"?)[A-Za-z0-9+/=._~-]{8,}|(?P<user>://)[^/\s:@\"'<>]{0,200}:[^/\s@\"'<>]{1,500}@",
    re.IGNORECASE,
)
# C0 and C1 controls, the line separators of Unicode, and the marks that turn the direction of writing.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_MAY_BE_SUSPENDED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_OWN_PACKAGES = frozenset({"turnout", "turnout_io"})
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Secret(str):
    """A text with a `repr` that shows nothing, so that a traceback with local variables does not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{HIDDEN}'"

    def __getitem__(self, index: SupportsIndex | slice) -> Secret:
        """Return a part, which is as secret: tools that cut long texts take the `repr` of the part."""
        return Secret(super().__getitem__(index))


def hidden(value: ValueT) -> ValueT:
    """Return a text as a `Secret`, and any other value unchanged."""
    return Secret(value) if isinstance(value, str) else value  # type: ignore[return-value]  # a Secret is a str


class Redactor:
    """Removes known secrets, and credentials of a known form, from any text that a server may have echoed.

    A secret is found as it is, as JSON and URLs escape it, and in base64.
    """

    __slots__ = ("_pattern", "secrets")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.secrets = tuple(dict.fromkeys(secret for secret in secrets if len(secret) >= _MIN_LENGTH))
        forms = {form for secret in self.secrets for form in secret_forms(secret)}
        # The longest first: one secret can begin like another.
        parts = [re.escape(form) for form in sorted(forms, key=len, reverse=True)]
        self._pattern = re.compile("|".join(parts)) if parts else None

    def __repr__(self) -> str:
        return f"Redactor(<{len(self.secrets)} hidden>)"

    def finds(self, text: str) -> bool:
        """Return whether one of the known secrets is in the text."""
        return self._pattern is not None and self._pattern.search(text) is not None

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        if self._pattern is not None:
            text = self._pattern.sub(HIDDEN, text)
        return _CREDENTIALS.sub(_without_credential, text)


def _without_credential(found: re.Match[str]) -> str:
    return f"{found['scheme']}{HIDDEN}" if found["scheme"] else f"://{HIDDEN}@"


def secret_forms(secret: str) -> Iterable[str]:
    """Return every form in which a secret can be in a text: plain, escaped in JSON or a URL, and in base64."""
    yield secret
    for ascii_only in (True, False):
        escaped = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")
    encoded = secret.encode("utf-8", "surrogatepass")
    for quoted in (quote(encoded, safe=""), quote(encoded), quote_plus(encoded)):
        yield quoted
        yield re.sub("%..", lambda found: found[0].lower(), quoted)  # both are written
    if len(encoded) >= _MIN_BASE64:
        yield from _base64_forms(encoded)


def _base64_forms(encoded: bytes) -> Iterable[str]:
    """Return the base64 forms of a secret, also if other bytes precede it as in `user:password`."""
    for before in range(3):
        shifted = base64.b64encode(b"\0" * before + encoded).decode()
        # The characters at both ends hold bits of the neighbours, too.
        start = (0, 2, 3)[before]
        rest = (before + len(encoded)) % 3
        inner = shifted.rstrip("=")[start : None if rest == 0 else -1]
        yield inner
        yield inner.replace("+", "-").replace("/", "_")


def secrets_of_header(name: str, value: str) -> tuple[str, ...]:
    """Return the secrets in a header field that a user set: its value, and the value behind a scheme."""
    if name.lower() in _PUBLIC_HEADERS:
        return ()
    scheme, _, credential = value.strip().partition(" ")
    if credential and scheme.lower() in ("basic", "bearer", "token", "apikey", "key"):
        return (credential.strip(), value)
    return (value,)


def secrets_of_url(url: str) -> tuple[str, ...]:
    """Return the password in a URL, and the values of its parameters that carry a credential."""
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        return ()
    found = [password] if password else []
    found += [value for name, value in parse_qsl(parts.query) if name.lower() in SECRET_QUERY]
    return tuple(found)


def clear_locals(error: BaseException) -> None:
    """Clear the local variables in the tracebacks of an error and its causes. Their files and lines remain.

    Tools that report errors show local variables. Those of a parser hold what a server sent, which may repeat the key;
    those of other libraries and of a user's function hold the key itself. Only functions that have ended are cleared:
    a coroutine or a generator may still be in use. An error that the program was handling when it called Turnout is the
    context of ours, and keeps its variables.
    """
    waiting = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if not frame.f_code.co_flags & _MAY_BE_SUSPENDED:
                with contextlib.suppress(RuntimeError):  # it runs
                    frame.clear()
        linked = one.__cause__, one.__context__
        waiting += [each for each in linked if each is not None and not _is_of_program(each)]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


def _is_of_program(error: BaseException) -> bool:
    """True if a function outside Turnout has caught this error, and still runs."""
    if error.__traceback__ is None:
        return False
    catcher = error.__traceback__.tb_frame
    package = str(catcher.f_globals.get("__name__", "")).partition(".")[0]
    return package not in _OWN_PACKAGES and any(frame is catcher for frame, _ in traceback.walk_stack(None))


def without_locals(function: Callable[ParamsT, ResultT]) -> Callable[ParamsT, ResultT]:
    """Decorate a function that is given secrets: its errors show no local variables (see `clear_locals`)."""

    @functools.wraps(function)
    def call(*args: ParamsT.args, **kwargs: ParamsT.kwargs) -> ResultT:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            clear_locals(error)
            del args, kwargs
            raise

    return call


def escape_controls(text: str) -> str:
    """Return the text on one line, with control characters spelled out: it can then be printed and logged."""
    return _CONTROLS.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    return _ESCAPES.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
