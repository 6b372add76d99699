"""Addresses, links, account numbers and keys inside free text: small things that decide where things go.

Rules:
- Each is traced by itself, because a trusted sentence may carry a stranger's link.
- A host name counts as a link whatever its last label: lists of top-level domains go out of date, and the
  price of a false link is one question.
- Dates are not account numbers.
- In a script without spaces, letters stand right beside an atom. It is found with them and without: what a
  machine would take for the address, nobody can tell.
"""

import re
from collections.abc import Iterator

from pratique.quarantine.tokens import apart
from pratique.quarantine.words import FILE_ENDINGS

_ADDRESS = re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_LINK = re.compile(
    r"(?:[a-z][a-z0-9+.-]{1,20}:/{0,2}(?=[\w/])|www\.|//(?=[\w-]+\.))[^\s'\"<>()\[\]{}|\\^`]{2,}",
    re.IGNORECASE,
)
_HOST = re.compile(
    r"(?<![\w@./-])(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,8}[a-z]{2,24}(?![\w@-]|\.\w)(?::\d+)?(?:[/?#][^\s'\"<>()\[\]]*)?"
)
_CODE = re.compile(r"(?<![\w@.-])(?=[\w-]{0,40}\d)(?=[\w-]{0,40}[a-z])[a-z0-9][a-z0-9_-]{7,}(?![\w@])")
_DIGITS = re.compile(r"(?<![\w.])\+?\d[\d ().-]{7,30}\d(?!\w)")
_IBAN = re.compile(r"(?<!\w)[a-z]{2}\d\d(?: ?[a-z0-9]{4}){2,7}(?: ?[a-z0-9]{1,3})?(?!\w)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d.*|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}")
_SHORTEST = 3
_FEWEST_DIGITS = 8
_SCHEMES = (
    "http:",
    "https:",
    "ftp:",
    "mailto:",
    "file:",
    "data:",
    "javascript:",
    "tel:",
    "sms:",
    "ws:",
    "wss:",
    "ssh:",
)


def atoms(text: str) -> Iterator[str]:
    """Yield each address, link, account number and key in a loosely normalised text, once."""
    seen = set()
    for found in _candidates(text):
        atom = found.rstrip(".,;:!?'\"")
        if atom not in seen and len(atom) >= _SHORTEST:
            seen.add(atom)
            yield atom


def is_link(text: str) -> bool:
    """Return whether a text as a whole is a link."""
    return bool(_LINK.fullmatch(text) or _HOST.fullmatch(text))


def bare_link(text: str) -> str:
    """Return a web link without its scheme and trailing slash: what a person would have typed."""
    for scheme in ("https://", "http://"):
        if text.startswith(scheme):
            return text.removeprefix(scheme).rstrip("/")
    return text.rstrip("/")


def _candidates(text: str) -> Iterator[str]:
    """Yield everything that looks like an atom, perhaps twice."""
    yield from _named(text)
    alone = apart(text)
    if alone != text:
        yield from _named(alone)
        yield from _numbers(alone)
    if any(map(str.isdigit, text)):
        yield from _numbers(text)


def _named(text: str) -> Iterator[str]:
    """Yield addresses, links and hosts."""
    if "@" in text:
        yield from _ADDRESS.findall(text)
    if ":" in text or "//" in text or "www." in text:
        yield from (link for link in _LINK.findall(text) if _navigates(link))
    if "." in text:
        yield from (host for host in _HOST.findall(text) if not _is_file_name(host))


def _numbers(text: str) -> Iterator[str]:
    """Yield account numbers, keys, telephone and card numbers."""
    yield from (iban for iban in _IBAN.findall(text) if sum(map(str.isdigit, iban)) >= _FEWEST_DIGITS)
    yield from _CODE.findall(text)
    yield from (number for number in _DIGITS.findall(text) if not _DATE.fullmatch(number))


def _navigates(link: str) -> bool:
    """Whether the scheme leads somewhere: `note:this` is a word with a colon."""
    return "//" in link[:24] or link.startswith("www.") or link.lower().startswith(_SCHEMES)


def _is_file_name(host: str) -> bool:
    """Whether a dotted word is a file name or an abbreviation rather than a host."""
    name, _, last = host.rpartition(".")
    return "/" not in host and (last in FILE_ENDINGS or (name.count(".") == 0 and len(name) == 1))
