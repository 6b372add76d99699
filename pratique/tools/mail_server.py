"""Where a mail server is and how it is spoken to: what an IMAP and an SMTP account have in common.

Rules:
- TLS with a checked certificate and host name, by an authority of the system or by the one CA file given.
  There is no way to turn the checks off.
- Without TLS only this machine itself is reached.
- STARTTLS that is not offered, or that somebody on the way took out, is an error, never plain text.
"""

import socket
import ssl
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pratique.errors import ToolDeclarationError

_HERE = frozenset({"localhost", "127.0.0.1"})


class MailServer(BaseModel):
    """A server's address.

    Attributes:
        host: its name, as its certificate has it, or an IPv4 address.
        port: its port.
        tls: from the first byte (`implicit`, RFC 8314), by `starttls`, or `none`, on this machine only.
        ca_file: PEM file of the only authorities that are believed; left out, those of the system.
        step_seconds: how long each step may take: to connect, to answer a command, to go on with an answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]
    port: Annotated[int, Field(ge=1, le=65535)]
    tls: Literal["implicit", "starttls", "none"] = "implicit"
    ca_file: Path | None = None
    step_seconds: Annotated[float, Field(gt=0, le=300)] = 20.0

    @model_validator(mode="after")
    def _plain_text_stays_here(self) -> Self:
        if self.tls == "none" and self.host not in _HERE:
            raise ValueError("without TLS only localhost can be reached; say implicit or starttls")
        return self

    @property
    def address(self) -> str:
        """`host:port`, as declarations and messages name it."""
        return f"{self.host}:{self.port}"

    def trust(self) -> ssl.SSLContext | None:
        """Return what the server's certificate is checked with, or None for `none`.

        Raises:
            ToolDeclarationError: the CA file cannot be read or holds no certificate.
        """
        if self.tls == "none":
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as problem:
            raise ToolDeclarationError(f"ca_file {str(self.ca_file)!r} cannot be used: {problem}") from None


def unreachable(problem: OSError, server: MailServer) -> str:
    """Return why there is no connection, in words that follow the server's name."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        return f"shows a certificate that is not accepted: {problem.verify_message}"
    if isinstance(problem, ssl.SSLError):
        return "does not speak TLS as agreed"
    if isinstance(problem, TimeoutError):
        return f"did not go on within {server.step_seconds:g} s"
    if isinstance(problem, socket.gaierror):
        return "has a name that does not resolve"
    return f"cannot be reached: {problem.strerror or 'the connection broke'}"
