r"""Compiles patterns for RE2, whose time is linear in the text whatever the text is.

Rules:
- Patterns and texts are bytes: counted repetitions of whole alphabets would make programs of megabytes, for
  which RE2 falls back to its slow engine. What is not ASCII is `\x80-\xff`.
- A pattern must not need to look far ahead to know that it matches: each match would look again.
- RE2 prints nothing: it would print to the standard error of whoever hosts us.
"""

from typing import Any

import re2


def compiled(pattern: str) -> Any:
    """Return a pattern over bytes."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    return re2.compile(pattern.encode("ascii"), options=options)
