"""Finds credentials by their form: the formats of well-known issuers, and `password = …` lines.

Rules:
- Patterns run on RE2, whose time is linear in the text whatever the text is.
- A pattern that has a group means what is in the group.
- A secret of no known form is not found: hand such values to tools as declared secrets, not in prompts.
"""

from collections.abc import Iterator
from typing import Final

from pratique.redaction.pattern import compiled
from pratique.redaction.span import Span

_ASSIGNMENT: Final = (
    r"(?i)\b(?:pass(?:word|wd|phrase)?|pwd|secret|api[-_ ]?key|access[-_ ]?key|token)\b[\"']?"
    r"\s{0,20}(?:is|=|:)\s{0,20}\S{4,}"
)

# Issuers' documentation names the prefixes; lengths are lower bounds, because they grow over the years.
_PATTERNS: Final = tuple(
    (name, compiled(pattern))
    for name, pattern in (
        ("private key", r"\bAGE-SECRET-KEY-1[A-Z0-9]{50,}"),
        ("token", r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
        ("key", r"\b(?:sk|pk|rk)[-_](?:live|test|proj|ant|svcacct|[A-Za-z0-9])[-_A-Za-z0-9]{15,}"),
        ("key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
        ("token", r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{22,}"),
        ("token", r"\bgl(?:pat|dt|rt|cbt|ptt|ft|soat)-[A-Za-z0-9_-]{16,}"),
        ("token", r"\bxox[abeprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}|\bxapp-[A-Za-z0-9-]{10,}"),
        ("token", r"hooks\.slack\.com/services/([A-Za-z0-9/]{20,})"),
        ("key", r"\bAIza[A-Za-z0-9_-]{35}|\bGOCSPX-[A-Za-z0-9_-]{20,}|\bya29\.[A-Za-z0-9_-]{20,}"),
        ("token", r"\bnpm_[A-Za-z0-9]{30,}|\bpypi-AgE[A-Za-z0-9_-]{40,}|\bhf_[A-Za-z0-9]{30,}"),
        ("key", r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{32,}|\bkey-[0-9a-f]{32}\b|\bSK[0-9a-f]{32}\b"),
        ("token", r"\bdo[opr]_v1_[0-9a-f]{40,}|\bhv[sbr]\.[A-Za-z0-9_-]{20,}|\bdapi[0-9a-f]{32}\b"),
        ("token", r"\b[0-9]{8,10}:[A-Za-z0-9_-]{35}\b"),
        ("key", r"(?i)\b(?:AccountKey|SharedAccessKey)=([A-Za-z0-9+/]{40,}={0,2})"),
        ("token", r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9._~+/-]{16,}=*"),
        ("password", _ASSIGNMENT),
        ("credentials", r"://([^\s/:@]{0,64}:[^\s/@]{1,128})@"),
    )
)


_HEAD: Final = compiled(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_FOOT: Final = compiled(r"-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_INSIDE: Final = compiled(r"[A-Za-z0-9+/=\s\\]*")
_LONGEST_KEY: Final = 32 * 1024


def find_credentials(data: bytes) -> Iterator[Span]:
    """Yield where credentials are, in bytes; spans may overlap."""
    yield from _private_keys(data)
    for name, pattern in _PATTERNS:
        group = min(pattern.groups, 1)
        for match in pattern.finditer(data):
            start, end = match.span(group)
            yield Span(start, end, "keys", name)


def _private_keys(data: bytes) -> Iterator[Span]:
    """Yield keys in PEM armour (RFC 7468), cut ones too. Ends are found once, not for each start again."""
    ends = [match.end() for match in _FOOT.finditer(data)]
    number = 0
    for head in _HEAD.finditer(data):
        while number < len(ends) and ends[number] < head.end():
            number += 1
        near = number < len(ends) and ends[number] - head.start() <= _LONGEST_KEY
        end = ends[number] if near else _INSIDE.match(data, head.end()).end()
        yield Span(head.start(), end, "keys", "private key")
