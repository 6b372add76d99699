"""Keeps a draft in an account's folder for drafts (APPEND, RFC 9051, 6.3.12; APPENDUID, RFC 4315).

Rules:
- The folder is made when it is missing.
- A draft whose Message-ID is in the folder already is not written again: a repeated call writes nothing.
"""

import imaplib
import re

from pratique.errors import ToolError
from pratique.tools.email_writing import Composed
from pratique.tools.imap.mailbox import Folder, ImapMailbox
from pratique.tools.imap.wire import Connection
from pratique.tools.imap.words import may_have_happened

_APPENDED = re.compile(rb"\[APPENDUID (\d{1,10}) (\d{1,10})\]")


def keep(connection: Connection, folder: str, draft: Composed) -> str | None:
    """Put a message into the folder, unless it is there, and return its id, if the server tells.

    Raises:
        ToolError: it cannot be written.
        OutcomeUnknownError: nobody knows whether it was.
    """
    opened = _open(connection, folder)
    there = connection.search(["HEADER", "Message-ID", draft.message_id])
    if there:
        return opened.id(max(there))
    with may_have_happened():
        said = connection.append(folder, draft.content, flags=[r"\Draft", r"\Seen"])
    appended = _APPENDED.search(said)
    return Folder(opened.name, int(appended[1]), 0).id(int(appended[2])) if appended else None


def _open(connection: Connection, folder: str) -> Folder:
    mailbox = ImapMailbox(connection)
    try:
        return mailbox.open(folder, writable=True)
    except ToolError:
        with may_have_happened():
            try:
                connection.create_folder(folder)
            except imaplib.IMAP4.abort:
                raise
            except imaplib.IMAP4.error:
                raise ToolError(f"the mail folder {folder!r} cannot be made") from None
    return mailbox.open(folder, writable=True)
