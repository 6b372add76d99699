"""What a text says once it is decoded: base64 and hex runs, nested; and the simple disguises of a needle.

Rules:
- Decoding happens when a text comes in (and on arguments that leave), to a bounded depth; each level is
  shorter than the one before, so it ends and stays linear.
- Only what decodes to readable text counts: random letters rarely do.
- A disguise of the needle (rot13, reversed) is tried only when the plain needle was not found.
"""

import binascii
import codecs
import re
from base64 import b64decode
from collections.abc import Iterator

_RUN = re.compile(r"[A-Za-z0-9+/_-]{16,}(?:\r?\n[A-Za-z0-9+/_-]+)*")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){8,}")
_SPACED_HEX = re.compile(r"(?:\\x|0x)?[0-9a-fA-F]{2}(?:[ :,]{1,2}(?:\\x|0x)?[0-9a-fA-F]{2}){7,}")
_PAIRS = re.compile(r"[0-9a-fA-F]{2}[ :,]{1,2}(?:\\x|0x)?[0-9a-fA-F]{2}[ :,]")
_NOT_HEX = re.compile(r"0x|\\x|[ :,]")
_URLSAFE = str.maketrans("-_", "+/")
_SHORTEST = 6


def decoded(text: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield how and what for each readable text that is encoded in `text`, and in those, `depth` levels down.

    Args:
        text: the text as it came in, before any normalisation (base64 is case-sensitive).
        depth: levels; 0 yields nothing.
    """
    todo = [("", text, depth)]
    while todo:
        prefix, current, left = todo.pop()
        if left and len(current) >= 2 * _SHORTEST:
            for how, inner in _once(current):
                name = f"{prefix} in {how}" if prefix and prefix != how else how
                yield name, inner
                todo.append((name, inner, left - 1))


def disguises(needle: str) -> Iterator[tuple[str, str]]:
    """Yield name and form for each simple disguise in which a needle may stand in a text."""
    yield "rot13", codecs.encode(needle, "rot13")
    yield "reversed", needle[::-1]


def _once(text: str) -> Iterator[tuple[str, str]]:
    """Yield what is encoded directly in the text."""
    for match in _RUN.finditer(text):
        run = match.group()
        yield from (("base64", inner) for inner in _base64(run))
        yield from (("hex", inner) for found in _HEX.findall(run) if (inner := _hex(found)) is not None)
    if _PAIRS.search(text):
        found_pairs = (_hex(match.group()) for match in _SPACED_HEX.finditer(text))
        yield from (("hex", inner) for inner in found_pairs if inner is not None)


def _base64(run: str) -> Iterator[str]:
    """Yield what a run of base64 letters decodes to: all its lines joined, or else each line by itself."""
    joined = _one_base64("".join(run.split()))
    if joined is not None:
        yield joined
        return
    lines = run.split()
    if len(lines) > 1:
        yield from (inner for inner in map(_one_base64, lines) if inner is not None)


def _one_base64(letters: str) -> str | None:
    """Decode standard or URL-safe base64 (RFC 4648), padded or not."""
    letters = letters.translate(_URLSAFE)
    try:
        return _readable(b64decode(letters + "=" * (-len(letters) % 4), validate=True))
    except binascii.Error:
        return None


def _hex(run: str) -> str | None:
    """Decode pairs of hexadecimal digits, however they are separated."""
    digits = _NOT_HEX.sub("", run)
    return _readable(bytes.fromhex(digits)) if len(digits) % 2 == 0 else None


def _readable(data: bytes) -> str | None:
    """Return the bytes as text if they are UTF-8 and a person could read them."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    plain = text.replace("\n", "").replace("\r", "").replace("\t", "")
    return text if len(plain) >= _SHORTEST and plain.isprintable() else None
