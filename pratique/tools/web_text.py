"""Turns what a web server sent into the text that a person would read. Pure.

Rules:
- A body is text if its content type says so; anything else is refused before it is read.
- A byte order mark speaks first, then the header's charset, then the page's own; a charset that the bytes
  disagree with is not believed (`email_parts.decode`).
- HTML becomes what a reader would see of it, by the code that the mail tools use. With `source`, nothing is
  left out.
"""

import codecs
import re
from email.message import Message
from typing import NamedTuple

from pratique.tools.email_html import visible_text
from pratique.tools.email_parts import decode

_TEXTUAL = re.compile(r"text/[\w.+-]+|application/(?:[\w.+-]+\+)?(?:json|xml|yaml)|application/x-ndjson")
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# Of the first kilobyte, as HTML prescribes (WHATWG HTML, 13.2.3.2).
_OWN_CHARSET = re.compile(
    rb"<meta[^>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([\w:.-]{1,40})", re.IGNORECASE
)
_SNIFFED = 1024


class ContentType(NamedTuple):
    """A `Content-Type` as it was declared: the type in lower case, and the charset, if any."""

    type: str
    charset: str

    @property
    def is_text(self) -> bool:
        """Whether the body is text by its type."""
        return bool(_TEXTUAL.fullmatch(self.type))


def read_content_type(header: str) -> ContentType:
    """Return what a `Content-Type` header says (RFC 9110, 8.3); nothing where it says nothing."""
    message = Message()
    message["content-type"] = header
    if "/" not in header:
        return ContentType("", "")
    charset = message.get_param("charset", "")
    return ContentType(message.get_content_type(), charset if isinstance(charset, str) else "")


def readable(body: bytes, declared: ContentType, *, source: bool) -> tuple[str, list[str]]:
    """Return the text of a body, and what was wrong with it.

    Args:
        body: the decoded bytes.
        declared: what the server said they are.
        source: give HTML as it is.
    """
    is_html = declared.type in _HTML
    text, problem = decode(body, _charset(body, declared.charset, look_inside=is_html))
    problems = [problem] if problem else []
    text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    if source or not is_html:
        return text, problems
    shown, more = visible_text(text)
    return shown, problems + more


def _charset(body: bytes, declared: str, *, look_inside: bool) -> str:
    for mark, name in _MARKS:
        if body.startswith(mark):
            return name
    found = _OWN_CHARSET.search(body[:_SNIFFED]) if look_inside and not declared else None
    return found.group(1).decode("ascii") if found else declared
