"""Takes secrets out of text before it is logged or shown.

Rules:
- What is found is replaced by what it is: `[redacted key]`. Nothing of it stays.
- Patterns are those of well-known credential formats and of `password = …` lines. A secret of no known form
  is not found: hand such values to tools as declared secrets, not in prompts.
"""

import re
from collections.abc import Iterable
from typing import Final

_PATTERNS: Final = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (
            "private key",
            r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]{1,8192}?-----END [A-Z ]{0,30}PRIVATE KEY-----",
        ),
        ("token", r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
        ("key", r"\b(?:sk|pk|rk)[-_](?:live|test|proj|ant|[A-Za-z0-9])[-_A-Za-z0-9]{15,}"),
        ("key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
        ("token", r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{22,}"),
        ("token", r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
        ("key", r"\bAIza[A-Za-z0-9_-]{35}"),
        ("token", r"(?i)\bbearer\s+[A-Za-z0-9._~+/-]{16,}=*"),
        (
            "password",
            r"(?i)\b(?:pass(?:word|wd|phrase)?|pwd|secret|api[-_ ]?key|token)\b[\"']?\s*(?:is|=|:)\s*\S{4,}",
        ),
        ("credentials", r"(?i)(?<=://)[^\s/:@]{1,64}:[^\s/@]{1,128}(?=@)"),
    )
)

SECRET_NAMES: Final = re.compile(
    r"(?i)(pass(word|wd|phrase)?|secret|token|api[-_]?key|authorization|cookie|credential|private[-_]?key)"
)


def redact(text: str, known: Iterable[str] = ()) -> str:
    """Return `text` without what looks like a credential, and without the `known` secrets."""
    for secret in sorted(filter(None, known), key=len, reverse=True):  # one may be a part of another
        text = text.replace(secret, "[redacted secret]")
    for kind, pattern in _PATTERNS:
        text = pattern.sub(f"[redacted {kind}]", text)
    return text
