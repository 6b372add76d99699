"""Waits for mail: by IDLE (RFC 2177) where the server has it, else by asking now and then.

Rules:
- What is new is known by number: more messages than there were when the waiting began, or any that came
  after a message that the caller names. So nothing that arrives between two calls is missed.
"""

import select
import time
from typing import Any

from pratique.tools.imap.mailbox import Folder, ImapMailbox
from pratique.tools.imap.wire import Connection
from pratique.tools.mailbox import Page

ASK_EVERY = 2.0


def wait(connection: Connection, folder: str, seconds: float, after: str | None) -> Page:
    """Return what arrived in a folder within some seconds, newest first; nothing, if nothing did.

    Args:
        connection: one that is logged in.
        folder: where.
        seconds: how long to wait at most.
        after: the id of the newest message that is known already; left out, what is there now is known.

    Raises:
        ToolError: there is no such folder, or `after` is no id of it.
    """
    mailbox = ImapMailbox(connection)
    opened = mailbox.open(folder)
    known = opened.exists if after is None else mailbox.up_to(opened, after)
    if known == opened.exists:
        _until_more(connection, opened, time.monotonic() + seconds)
    return mailbox.since(opened, known)


def _until_more(connection: Connection, opened: Folder, end: float) -> None:
    idles = connection.has_capability("IDLE")
    while (left := end - time.monotonic()) > 0:
        heard = _idle(connection, left) if idles else _ask(connection, min(left, ASK_EVERY))
        if any(isinstance(number, int) and number > opened.exists for number in _counts(heard)):
            return


def _idle(connection: Connection, seconds: float) -> list[Any]:
    connection.idle()
    heard = connection.idle_check(timeout=seconds)
    # Also finds out that the server is gone, of which idle_check says nothing.
    _, more = connection.idle_done()
    return [*heard, *more]


def _ask(connection: Connection, seconds: float) -> list[Any]:
    select.select([connection.socket()], [], [], seconds)
    _, heard = connection.noop()
    return list(heard)


def _counts(heard: list[Any]) -> list[Any]:
    """Return the numbers of messages that untagged EXISTS answers told."""
    return [answer[0] for answer in heard if answer[1:2] == (b"EXISTS",)]
