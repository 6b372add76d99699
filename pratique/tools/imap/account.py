"""An IMAP account: where it is, who logs in, and what its password is called."""

from typing import Annotated

from pydantic import Field

from pratique.tools.mail_server import MailServer

_Line = Annotated[str, Field(min_length=1, max_length=320, pattern="^[^\\x00-\\x1f\\x7f]+$")]


class ImapAccount(MailServer):
    """An account on an IMAP server.

    Attributes:
        user: the login name.
        secret: the name of the secret that is its password.
        drafts: the folder for drafts; it is made when it is missing.
        connections: how many may be open at once.
        idle_seconds: how long one that nobody uses is kept.
    """

    port: Annotated[int, Field(ge=1, le=65535)] = 993
    user: _Line
    secret: str
    drafts: _Line = "Drafts"
    connections: Annotated[int, Field(ge=1, le=64)] = 4
    idle_seconds: Annotated[float, Field(ge=0, le=1500)] = 240.0
