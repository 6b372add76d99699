"""A message as an agent gets it: a line for the list, or the whole of it. Pure: bytes in, JSON values out.

Rules:
- `text/plain` is preferred; HTML becomes the text that a reader would see. Of an attachment, a whole message
  gives name, type and size; its bytes are asked for one by one (`attached`).
- `problems` tells what was damaged, cut, hidden or invisible, in our words, so it is as trusted as we are.
- Everything is bounded: the text, the attachments, the addresses.
"""

import re
from email.generator import BytesGenerator
from email.message import Message
from email.policy import compat32
from io import BytesIO
from typing import Any, NamedTuple

from pratique.tools import email_headers as headers
from pratique.tools import email_parts as parts
from pratique.tools.email_html import visible_text

MOST_TEXT = 256 * 1024
MOST_ATTACHMENTS = 100
WORK_FOR_A_LINE = 200_000
LONGEST_NAME = 512

# Zero width, bidirectional controls (Unicode TR9), and tags, which can spell a whole text.
_UNSEEN = re.compile("[\u200b\u200e\u200f\u2060\ufeff\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
_ADDRESSED = ("to", "cc", "reply_to")


def summary(head: bytes) -> dict[str, Any]:
    """Return what a list shows of a message.

    Args:
        head: its beginning; enough to see whether it has attachments, as a rule.
    """
    parsed = parts.parse(head, WORK_FOR_A_LINE)
    fields = _fields(parsed.message)
    return {
        **{name: fields[name] for name in ("from", "from_name", "subject", "sent")},
        "has_attachments": _has_attachments(parsed.message),
        "problems": fields["problems"],
    }


def full(raw: bytes) -> dict[str, Any]:
    """Return the whole message."""
    parsed = parts.parse(raw)
    fields = _fields(parsed.message, everything=True)
    content = _Content()
    body = "" if parsed.refusal else content.read(parsed.message)
    body, cut = _cut(body.strip())
    problems = [parsed.refusal, *fields["problems"], *content.problems, *parts.defects(parsed.message), cut]
    problems += [content.unlisted(), _invisible(body)]
    return {
        **fields,
        "body": body,
        "attachments": content.attachments,
        "problems": [problem for problem in dict.fromkeys(problems) if problem],
    }


class Attached(NamedTuple):
    """One attachment: its bytes, and its text if it is text."""

    name: str
    type: str
    data: bytes
    is_text: bool
    text: str
    problems: list[str]


def attached(raw: bytes, number: int) -> Attached | None:
    """Return an attachment by its place in the list that `full` gives; None if there is none."""
    parsed = parts.parse(raw)
    content = _Content()
    if not parsed.refusal:
        content.read(parsed.message)
    if number >= len(content.parts):
        return None
    part = content.parts[number]
    kind = part.get_content_type()[:127]
    data, problems = parts.payload(part)
    is_text, text = kind in {"text/plain", "text/html"} and not part.is_multipart(), ""
    if is_text:
        text, problems = parts.text(part)
        if kind == "text/html":
            text, more = visible_text(text)
            problems = [*problems, *more]
        text, cut = _cut(text)
        problems = [*problems, *([cut] if cut else [])]
    return Attached(_name(part), kind, data, is_text, text, problems)


class _Content:
    """Gathers the text, the attachments and the problems of a message's parts."""

    def __init__(self) -> None:
        self.parts: list[Message] = []
        self.attachments: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self._more = 0

    def read(self, part: Message) -> str:
        """Return the text that a part shows; what is not shown becomes an attachment."""
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            if part.get_content_subtype() == "alternative":
                return self._alternative(_children(part))
            return "\n\n".join(filter(None, (self.read(child).strip("\r\n") for child in _children(part))))
        if not _is_shown(part):
            self._attach(part)
            return ""
        characters, problems = parts.text(part)
        self.problems += problems
        if part.get_content_type() == "text/html":
            characters, problems = visible_text(characters)
            self.problems += problems
        return characters.replace("\r\n", "\n").replace("\r", "\n")

    def unlisted(self) -> str:
        """Say how many attachments did not fit into the list."""
        return f"{self._more:,} more attachments are not listed" if self._more else ""

    def _alternative(self, versions: list[Message]) -> str:
        """Read the plain version, or else the last that shows HTML; the others give only their files."""
        plain = [version for version in versions if _shows(version, "text/plain")]
        html = [version for version in versions if _shows(version, "text/html")]
        chosen = plain[0] if plain else html[-1] if html else None
        for version in versions:
            if version is not chosen:
                self._attach_files(version)
        return self.read(chosen) if chosen is not None else ""

    def _attach_files(self, version: Message) -> None:
        for leaf in _leaves(version):
            if not _is_shown(leaf):
                self._attach(leaf)

    def _attach(self, part: Message) -> None:
        if len(self.attachments) >= MOST_ATTACHMENTS:
            self._more += 1
            return
        self.parts.append(part)
        size, problems = _size(part)
        self.problems += problems
        self.attachments.append({"name": _name(part), "type": part.get_content_type()[:127], "bytes": size})


def _fields(message: Message, *, everything: bool = False) -> dict[str, Any]:
    """Return the header fields that are shown, and `problems`."""
    sender = headers.addresses(message, "from")
    subject, trouble = headers.words(message, "subject")
    sent, untimely = headers.moment(message)
    problems = ["no headers: this is no mail message"] if not message.keys() else []
    problems += [*sender.problems, *trouble, *untimely]
    if message.keys() and len(sender.found) != 1:
        problems.append(f"from: {len(sender.found) or 'no'} senders")
    first = sender.found[0] if sender.found else headers.Mailbox("", "")
    fields: dict[str, Any] = {
        "from": first.address,
        "from_name": first.name,
        "subject": subject,
        "sent": sent,
    }
    if everything:
        for name in _ADDRESSED:
            found = headers.addresses(message, name.replace("_", "-"))
            fields[name] = [one.address for one in found.found if one.address]
            problems += found.problems
        identity, trouble = headers.raw_field(message, "message-id", 998)
        fields["message_id"] = identity.strip()
        problems += trouble
    return {**fields, "problems": list(dict.fromkeys(problems))}


def _children(part: Message) -> list[Message]:
    held = part.get_payload()
    return [child for child in held if isinstance(child, Message)] if isinstance(held, list) else []


def _leaves(part: Message) -> list[Message]:
    """Return the parts that are no multipart, in order."""
    found, waiting = [], [part]
    while waiting:
        item = waiting.pop()
        if item.get_content_maintype() == "multipart" and item.is_multipart():
            waiting.extend(reversed(_children(item)))
        else:
            found.append(item)
    return found


def _is_shown(part: Message) -> bool:
    """Whether a leaf is text of the message itself."""
    if part.get_content_maintype() == "multipart":
        return True  # a multipart without parts: what it holds is text, whatever it calls itself
    shown = part.get_content_type() in {"text/plain", "text/html"} and not part.is_multipart()
    return shown and part.get_content_disposition() != "attachment" and not _name(part)


def _shows(version: Message, kind: str) -> bool:
    return any(leaf.get_content_type() == kind and _is_shown(leaf) for leaf in _leaves(version))


def _has_attachments(message: Message) -> bool:
    return any(not _is_shown(leaf) for leaf in _leaves(message))


def _name(part: Message) -> str:
    """Return a part's file name, or the subject of an attached message."""
    try:
        name = part.get_filename("")[: headers.LONGEST]
    except Exception:  # noqa: BLE001  # RFC 2231 continuations in disorder have raised TypeError and others
        return ""
    if not name and part.get_content_type() == "message/rfc822" and _children(part):
        name = headers.words(_children(part)[0], "subject")[0]
    return headers.encoded_words(name)[0][:LONGEST_NAME]


def _size(part: Message) -> tuple[int, list[str]]:
    """Return how many bytes a part holds."""
    if not part.is_multipart():
        data, problems = parts.payload(part)
        return len(data), problems
    counted = BytesIO()
    try:
        for child in _children(part):
            BytesGenerator(counted, policy=compat32, mangle_from_=False).flatten(child)
    except Exception:  # noqa: BLE001  # the generator raises on what the parser let through
        return 0, ["the size of an attached message cannot be told"]
    return len(counted.getvalue()), []


def _cut(body: str) -> tuple[str, str]:
    if len(body) <= MOST_TEXT:
        return body, ""
    return body[:MOST_TEXT], f"the body is cut at {MOST_TEXT:,} of {len(body):,} characters"


def _invisible(body: str) -> str:
    """Say how many characters of the body direct or hide others, or cannot be seen."""
    count = len(_UNSEEN.findall(body))
    return f"{count:,} invisible or direction-changing characters are in the body" if count else ""
