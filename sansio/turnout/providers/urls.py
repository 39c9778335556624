"""Parts of URLs and header fields, from the values of users."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from turnout.errors import CapabilityUnsupported, LocalProtocolError
from turnout.http.origin import split_url
from turnout.redaction import Secret

__all__ = [
    "checked_header",
    "checked_key",
    "checked_label",
    "checked_text",
    "fault_of_base_url",
    "is_own",
    "path_segment",
]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)


def fault_of_base_url(url: str, *, takes_query: bool) -> str:
    """Return the fault of a base URL, without quoting it; "" if it has none."""
    if not url.isprintable() or any(character.isspace() for character in url):
        return "holds white space or a control character"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "has no valid host or port"
    if parts.scheme not in ("http", "https"):
        return "does not begin with http:// or https://"
    if not parts.hostname:
        return "names no host"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or password, which belongs into a header field"
    if port == 0:
        return "has the port 0, which no server has"
    if any(step in (".", "..") for step in parts.path.split("/")):
        return "has the step . or .. in its path"
    # Azure's portal shows a whole request, with the version in its query.
    if not takes_query and (parts.query or parts.fragment or url.endswith(("?", "#"))):
        return "has a query, although paths are added behind it"
    try:
        split_url(url)
    except LocalProtocolError:
        return "has no valid host"
    return ""


def is_own(url: str) -> bool:
    """Return whether the URL's host is this machine."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    return host in ("localhost", "::1") or host.endswith(".localhost") or host.startswith("127.")


def checked_label(value: str, what: str) -> str:
    """Return a value that becomes a part of a host name: a region, a location.

    Raises:
        ValueError: It holds anything but letters, digits and hyphens. The message does not quote it.
    """
    if not _LABEL.fullmatch(value):
        raise ValueError(f"{what} must be letters, digits and hyphens, because it becomes a part of a host name")
    return value


def path_segment(value: str, what: str) -> str:
    """Return a value that becomes one step of a URL's path, percent-encoded.

    Raises:
        CapabilityUnsupported: It is `.` or `..`, which a server reads as a step to another path.
    """
    if value.strip(".") == "" or not value.isprintable():
        raise CapabilityUnsupported(f"{what} cannot be a step of a URL's path")
    return quote(value, safe="")


def checked_text(value: object, what: str) -> Secret | None:
    """Return a key or a token without white space around it; None if it is empty.

    Raises:
        TypeError: It is no text.
        ValueError: It holds a character that no header field can hold. The message does not quote it.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    text = Secret(value.strip())
    if not text.isascii() or not text.isprintable():
        raise ValueError(f"{what} holds a line break or another character that no header field can hold")
    return text or None


def checked_key(value: object) -> Secret | None:
    """Do the same for the key of a provider, and refuse a reference in the form of LiteLLM.

    Raises:
        TypeError: It is no text.
        ValueError: It cannot be a key.
    """
    if isinstance(value, str) and value.strip().startswith("os.environ/"):
        variable = value.strip().removeprefix("os.environ/")
        raise ValueError(
            f'api_key is not read from a variable that is named this way; write os.environ["{variable}"] in code, '
            f"or ${{{variable}}} in a file"
        )
    if isinstance(value, str) and value.strip().lower().startswith("bearer "):
        raise ValueError("api_key must be the key alone: Turnout writes the word Bearer before it")
    return checked_text(value, "api_key")


def checked_header(name: object, value: object) -> tuple[str, Secret]:
    """Return a header field that a user gives.

    Raises:
        TypeError: The name or the value is no text.
        ValueError: One of them holds a character that it cannot hold. The message does not quote the value.
    """
    if not isinstance(name, str) or not isinstance(value, str):
        kind = type(value if isinstance(name, str) else name).__name__
        raise TypeError(f"headers must map names to texts: {name!r} has a {kind}")
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"headers: {name!r} is not the name of a header field")
    text = Secret(value.strip())
    if not text.replace("\t", " ").isprintable():
        raise ValueError(f"headers: the value of {name} holds a line break or a control character")
    return name, text
