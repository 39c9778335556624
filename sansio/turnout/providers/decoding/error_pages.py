"""The words of an error that is no JSON: HTML pages of whatever is before the provider, XML documents, plain text.

Every step looks at a character a fixed number of times, so that the time is linear in the length of the page whatever
is in it. An error body can be 256 KiB of anything.
"""

from __future__ import annotations

import re

__all__ = ["TEXT_LIMIT", "is_page", "one_line", "words_of_page", "xml_fields"]

TEXT_LIMIT = 4_000
PAGE_LIMIT = 64 * 1024
_SPACE = re.compile(r"\s+")
_HTML = re.compile(r"<(?:!doctype|html|head|body|title)\b", re.IGNORECASE)
_XML = re.compile(r"\s*(?:<\?xml\b|<(?:[a-z]+:)?(?:error|errorresponse|fault)\b)", re.IGNORECASE)
# A reference with more digits names no character, and `html.unescape` raises ValueError for thousands of them.
_LONG_REFERENCE = re.compile(r"&#x?[0-9a-f]{9,}", re.IGNORECASE)
_SILENT = ("script", "style")


def words_of_page(text: str) -> str:
    """Return the title of an HTML page, or its text if it has no title; of other text, its words."""
    page = text[:PAGE_LIMIT]
    if not _HTML.search(page):
        return one_line(page)
    return _plain(_inside(page, "title")) or _plain(page)


def is_page(body: bytes) -> bool:
    """True if a body is an HTML page."""
    start = body[:1024].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    return start.startswith("<") and _HTML.search(start) is not None


def xml_fields(text: str) -> dict[str, str]:
    """Return the code and the message of an XML error document; {} if the text is none."""
    page = text[:PAGE_LIMIT]
    if not _XML.match(page):
        return {}
    fields = {}
    for name, tags in (("code", ("code", "errorcode")), ("message", ("message", "errormessage", "faultstring"))):
        found = next((words for tag in tags if (words := _plain(_inside(page, tag)))), "")
        if found:
            fields[name] = found
    return fields


def one_line(text: str) -> str:
    """Return the text with every run of white space as one space, at most `TEXT_LIMIT` characters."""
    return _SPACE.sub(" ", text[: 4 * TEXT_LIMIT]).strip()[:TEXT_LIMIT]


def _inside(page: str, tag: str) -> str:
    """Return the text between the first opening and the first closing tag of this name."""
    lower = page.lower()
    start = -1
    while True:
        start = lower.find(f"<{tag}", start + 1)
        if start < 0:
            return ""
        after = lower[start + len(tag) + 1 : start + len(tag) + 2]
        if after in (">", " ", "\n", "\t", "\r", "/"):
            break
    opened = lower.find(">", start)
    closed = lower.find(f"</{tag}", opened)
    return page[opened + 1 : closed] if 0 <= opened < closed else ""


def _plain(page: str) -> str:
    """Return the text without tags, and without what scripts and styles hold."""
    pieces: list[str] = []
    silent = ""
    for at, piece in enumerate(page.split("<")):
        tag, closed, words = piece.partition(">") if at else ("", "", piece)
        name = tag[:12].lower().strip()
        if silent:
            if name.startswith(f"/{silent}"):
                silent = ""
            else:
                continue
        else:
            silent = next((each for each in _SILENT if name.startswith(each)), "")
        if not silent:
            pieces.append(words if closed or not at else "")
    import html  # its table of entities has half a megabyte, and pages as errors are rare

    return one_line(html.unescape(_LONG_REFERENCE.sub("", " ".join(pieces)[: 4 * TEXT_LIMIT])))
