"""A `Query` as an IMAP server is asked it (RFC 9051, 6.4.4). Pure.

Rules:
- Every word that somebody chose goes out as a quoted string or a literal, never as an atom: `{5}` or `(` in
  it would be read as syntax.
"""

from typing import Any

from imapclient.imapclient import _literal

from pratique.tools.mailbox_search import Query


def criteria(query: Query) -> tuple[list[Any], str | None]:
    """Return the search keys, and the charset to name, if any."""
    keys: list[Any] = []
    words = {"TEXT": query.text, "FROM": query.sender, "SUBJECT": query.subject}
    days = {"SINCE": query.since, "BEFORE": query.until}
    for key, value in (words | days).items():
        if value is not None:
            keys += [key, _literal(value.encode()) if isinstance(value, str) else value]
    if query.unread is not None:
        keys.append("UNSEEN" if query.unread else "SEEN")
    plain = all([word is None or word.isascii() for word in words.values()])
    return keys, None if plain else "UTF-8"
