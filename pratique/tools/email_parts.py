"""Takes a message apart, whatever bytes it has: its parts, their bytes, and what was wrong with them.

Rules:
- No message raises. What cannot be read is left out and named as a problem, in our own words only: no text
  of the message ever stands in one.
- The work is bounded before the parser starts. Its cost grows with lines times nesting, so a message that
  would cost too much is read by its headers alone.
- The parser runs under `compat32`, which interprets nothing. Header fields are cut as they come in, because
  taking one apart costs the square of its length; decoding them is done in `email_headers`, one at a time.
- A declared charset is believed only if the bytes agree with it.
"""

import codecs
import re
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from email.policy import Compat32
from typing import NamedTuple

MOST_LINES = 1_000_000
MOST_PARTS = 20_000
MOST_CONTAINERS = 100
MOST_WORK = 16_000_000
LONGEST_FIELD = 16 * 1024
LONGEST_PARAMETERS = 2 * 1024
LARGEST_HEADERS = 64 * 1024

# Whatever does not plainly say that it is a leaf may hold other parts, and counts as a container.
_MAY_NEST = re.compile(rb"(?i)(?:^|[\r\n])content-type:(?!\s*(?:text|application|image|audio|video|font)/)")
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n|\r\r")

# Decoding these costs the square of the length, or runs escapes that no mail program writes.
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"})
_ENCODINGS = frozenset({"", "7bit", "8bit", "binary", "base64", "quoted-printable", "x-uuencode", "uuencode"})

_DEFECTS = {
    "NoBoundaryInMultipartDefect": "a multipart names no boundary",
    "StartBoundaryNotFoundDefect": "a multipart's boundary never occurs",
    "CloseBoundaryNotFoundDefect": "a multipart has no end: the message may be cut off",
    "MultipartInvariantViolationDefect": "a part that calls itself multipart holds no parts",
    "InvalidMultipartContentTransferEncodingDefect": "a multipart is encoded as a whole, against the rules",
    "MissingHeaderBodySeparatorDefect": "no empty line stands between headers and body",
    "FirstHeaderLineIsContinuationDefect": "the first header line continues nothing",
    "MisplacedEnvelopeHeaderDefect": "an envelope line stands among the headers",
    "InvalidBase64PaddingDefect": "base64 without its padding: a part may be cut off",
    "InvalidBase64CharactersDefect": "base64 with characters that do not belong there",
    "InvalidBase64LengthDefect": "base64 of impossible length: a part is cut off and was not decoded",
}


class _Bounded(Compat32):
    """Cuts every header field to a length; those that describe a part are short in every honest message."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[: LONGEST_PARAMETERS if name.lower().startswith("content-") else LONGEST_FIELD]


_policy = _Bounded()


class Parsed(NamedTuple):
    """A message taken apart; `refusal` says why only its headers were read, if so."""

    message: Message
    refusal: str


def parse(raw: bytes, most_work: int = MOST_WORK) -> Parsed:
    """Take a message apart.

    Args:
        raw: the message's bytes, in any state.
        most_work: how many looks at a line it may cost: lines times possible nesting.
    """
    refusal = _too_much(raw, most_work)
    if not refusal:
        try:
            return Parsed(BytesParser(policy=_policy).parsebytes(raw), "")
        except Exception:  # noqa: BLE001  # the parser documents no exception and has raised many
            refusal = "its structure defeats the parser"
    return Parsed(_headers_only(raw), f"{refusal}: only the headers were read")


def defects(message: Message) -> Iterator[str]:
    """Yield what the parser found wrong with the message and its parts, in words.

    A part's own decoding adds to it, so ask after the bytes were taken.
    """
    for part in message.walk():
        for defect in part.defects:
            name = type(defect).__name__
            yield _DEFECTS.get(name, f"the parser reports {name}")


def payload(part: Message) -> tuple[bytes, list[str]]:
    """Return a leaf's bytes after its transfer encoding, and what was wrong with that."""
    problems = []
    encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
    if encoding not in _ENCODINGS:
        problems.append("an unknown transfer encoding: a part was left as it is")
    try:
        data = part.get_payload(decode=True)
    except Exception:  # noqa: BLE001  # as in parse
        data = None
    if not isinstance(data, bytes):
        return b"", [*problems, "a part could not be decoded"]
    return data, problems


def text(part: Message) -> tuple[str, list[str]]:
    """Return a text part's characters, and what was wrong with them."""
    data, problems = payload(part)
    declared = _declared_charset(part)
    characters, problem = decode(data, declared)
    return characters, problems + ([problem] if problem else [])


def decode(data: bytes, declared: str) -> tuple[str, str]:
    """Decode text by its declared charset, or by what its bytes are if they disagree.

    Args:
        data: the bytes.
        declared: the charset's name as somebody wrote it; empty where none was given.

    Returns:
        The text, free of lone surrogates, and the problem, if there was one.
    """
    for name in dict.fromkeys([_codec(declared), "utf-8"]):
        if name:
            try:
                return _sound(data.decode(name)), _disagreement(declared, name)
            except (UnicodeError, ValueError):
                continue
    return data.decode("windows-1252", "replace"), _disagreement(declared, "windows-1252")


def _too_much(raw: bytes, most_work: int) -> str:
    """Return why this message would cost too much to take apart, or nothing."""
    lines = max(raw.count(b"\n"), raw.count(b"\r"))
    containers = sum(1 for _ in _MAY_NEST.finditer(raw))
    if lines > MOST_LINES or lines * (1 + containers) > most_work:
        return "too many lines"
    if containers > MOST_CONTAINERS:
        return f"more than {MOST_CONTAINERS} parts that hold others"
    if raw.count(b"\n--") + raw.count(b"\r--") > MOST_PARTS:
        return f"more than {MOST_PARTS:,} parts"
    return ""


def _headers_only(raw: bytes) -> Message:
    head = raw[:LARGEST_HEADERS]
    end = _END_OF_HEADERS.search(head)
    try:
        return BytesHeaderParser(policy=_policy).parsebytes(head[: end.start()] if end else head)
    except Exception:  # noqa: BLE001  # as in parse
        return Message()


def _declared_charset(part: Message) -> str:
    try:
        return str(part.get_content_charset(""))
    except Exception:  # noqa: BLE001  # as in parse
        return "?"


def _codec(declared: str) -> str:
    """Return Python's name of a charset that may be used, or nothing."""
    try:
        found = codecs.lookup(declared)
    except (LookupError, ValueError):
        return ""
    name = found.name.replace("-", "_")
    # The flag marks codecs between text and bytes; others (zlib, rot13) are no charsets.
    return "" if name in _NO_CHARSETS or not found._is_text_encoding else found.name  # noqa: SLF001


def _disagreement(declared: str, used: str) -> str:
    """Say how the charset that was used differs from the declared one."""
    known = _codec(declared)
    if known == used or (used == "utf-8" and (not declared or known == "ascii")):
        return ""
    if not declared:
        return f"no charset is declared: read as {used}"
    if not known:
        return f"an unknown charset is declared: read as {used}"
    return f"the bytes are not in the declared charset {known}: read as {used}"


def _sound(characters: str) -> str:
    """Replace lone surrogates, which some codecs let through and JSON cannot hold."""
    return characters.encode("utf-8", "replace").decode("utf-8")
