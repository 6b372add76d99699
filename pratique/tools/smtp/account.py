"""An SMTP account: where mail is handed in, and by whom."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from pratique.tools.mail_server import MailServer


class SmtpAccount(MailServer):
    """A server that takes mail (RFC 6409).

    Attributes:
        user: the login name; left out, nobody logs in.
        secret: the name of the secret that is the password.
        helo: what this machine calls itself; left out, its own name.
        drops_repeats: the host's word that the server delivers a Message-ID once, however often it is handed
            in. No part of SMTP says so, so without this word a repeated send is a second message.
    """

    port: Annotated[int, Field(ge=1, le=65535)] = 465
    user: Annotated[str, Field(min_length=1, max_length=320, pattern="^[^\\x00-\\x1f\\x7f]+$")] | None = None
    secret: str | None = None
    helo: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:\[\]-]+$", max_length=253)] | None = None
    drops_repeats: bool = False

    @model_validator(mode="after")
    def _a_user_has_a_password(self) -> Self:
        if (self.user is None) != (self.secret is None):
            raise ValueError("user and secret go together: give both or neither")
        return self
