"""Sentences and diffs for previews: what a call will change, in words that people compare with the world.

Rules:
- They say the same while nothing changes: no time, no random name.
- Text from outside stands in one line, in quotation marks, so that it cannot pass for a line of ours.
"""

import difflib
from collections.abc import Mapping

MOST_LINES = 2000
LONGEST_TEXT = 100_000
LONGEST_QUOTE = 200


def changes(what: str, fields: Mapping[str, tuple[object, object]]) -> str:
    """Return which fields change, from what to what; `fields` is name → before, after."""
    lines = [
        f"{name}: {quoted(before)} → {quoted(after)}"
        for name, (before, after) in fields.items()
        if before != after
    ]
    same = [
        f"{name} is {quoted(before)} already" for name, (before, after) in fields.items() if before == after
    ]
    return "\n".join([what, *lines, *same])


def diff(path: str, before: str, after: str) -> str:
    """Return what becomes of a text, as a unified diff; in a sentence, if that would be too long to read."""
    if before == after:
        return f"{path} stays as it is: it has this content already."
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) > MOST_LINES or max(len(before), len(after)) > LONGEST_TEXT:
        return f"{path} is replaced: {_size(before)} by {_size(after)}. That is too long for a diff."
    if old == new:
        return f"{path} changes in its line endings only."
    lines = difflib.unified_diff(old, new, f"{path} (now)", f"{path} (then)", lineterm="")
    return "\n".join(lines)


def quoted(value: object) -> str:
    """Return a value on one line, in quotation marks, cut if it is long."""
    if value is None:
        return "nothing"
    text = " ".join(str(value).split())
    return f"“{text[:LONGEST_QUOTE]}…”" if len(text) > LONGEST_QUOTE else f"“{text}”"


def _size(text: str) -> str:
    return f"{len(text.splitlines())} lines ({len(text.encode('utf-8', 'replace'))} bytes)"
