"""Ways to hide a text from a matcher, that a reader or a model can undo."""

import base64
import codecs
import html
import re
from collections.abc import Callable
from urllib.parse import quote

LOOK_ALIKE = str.maketrans("aceopxyi", "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456")
FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


def base64ed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def shifted(text: str) -> str:
    def shift(match: re.Match[str]) -> str:
        letter = match.group()
        first = ord("a") if letter.islower() else ord("A")
        return chr((ord(letter) - first + 5) % 26 + first)

    return re.sub(r"[A-Za-z]", shift, text)


def halved(text: str) -> str:
    def cut(match: re.Match[str]) -> str:
        word = match.group()
        return f"{word[: len(word) // 2]} followed by {word[len(word) // 2 :]}"

    return re.sub(r"\S{6,}", cut, text)


TRANSFORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper case": str.upper,
    "swapped case": str.swapcase,
    "zero-width": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "look-alikes": lambda text: text.translate(LOOK_ALIKE),
    "full-width": lambda text: text.translate(FULL_WIDTH),
    "combining marks": lambda text: re.sub(r"([a-z])", "\\1\u0323", text),
    "%xx": lambda text: quote(text, safe=""),
    "entities": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "named entities": lambda text: html.escape(text).replace("@", "&commat;").replace(".", "&period;"),
    "\\u escapes": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
    "spaced": " ".join,
    "base64": base64ed,
    "base64 twice": lambda text: base64ed(base64ed(text)),
    "hex": lambda text: text.encode().hex(),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "reversed": lambda text: text[::-1],
    "split in two": halved,
    "cipher": shifted,
    "acrostic": lambda text: " ".join(f"{letter}ord" if letter.isalnum() else letter for letter in text),
}
