"""Hands one message to an SMTP server (RFC 5321, RFC 6409).

Rules:
- TLS, the login and every recipient come before the message. Until the server took a recipient, a failure
  means that nothing was sent; when the connection breaks over the message itself, nobody knows.
- A recipient that is refused does not stop the message to the others, and is reported. When all are, nothing
  is sent.
- In errors there are codes and our words, never a server's text. That goes into the result, where it is
  labelled.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import NamedTuple

import aiosmtplib

from pratique.errors import OutcomeUnknownError, ToolError
from pratique.tools.mail_server import unreachable
from pratique.tools.smtp.account import SmtpAccount

LONGEST_REASON = 500
_REFUSALS = (4, 5)


class Envelope(NamedTuple):
    """What goes to whom."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


class Refusal(NamedTuple):
    """A recipient that the server did not take, its code (RFC 5321, 4.2) and its words."""

    address: str
    code: int
    reason: str


class _Server(aiosmtplib.SMTP):
    """A connection that ends at once when it ends: no farewell is waited for, in TLS or otherwise."""

    def close(self) -> None:
        transport = self.transport
        super().close()
        if isinstance(transport, asyncio.Transport):
            transport.abort()


async def deliver(
    account: SmtpAccount, trust: ssl.SSLContext | None, password: str | None, envelope: Envelope
) -> list[Refusal]:
    """Hand the message in, and return the recipients that were refused; all others are the server's now.

    Raises:
        ToolError: nothing was sent, and why.
        OutcomeUnknownError: nobody knows whether it was.
    """
    with _in_words(account):
        async with _connected(account, trust) as server:
            if account.user is not None and password is not None:
                await server.login(account.user, password)
            await server.mail(envelope.sender)
            refused = await _announce(server, envelope.recipients)
            if len(refused) == len(envelope.recipients):
                codes = ", ".join(f"{refusal.address} ({refusal.code})" for refusal in refused)
                raise ToolError(f"the mail server {account.address} refused every recipient: {codes}")
            with _may_have_happened():
                await server.data(envelope.content)
            with suppress(aiosmtplib.SMTPException):  # the message is handed in; how they part is nothing
                await server.quit()
            return refused


@asynccontextmanager
async def _connected(account: SmtpAccount, trust: ssl.SSLContext | None) -> AsyncIterator[aiosmtplib.SMTP]:
    server = _Server(
        hostname=account.host,
        port=account.port,
        timeout=account.step_seconds,
        use_tls=account.tls == "implicit",
        start_tls=account.tls == "starttls",
        tls_context=trust,
        local_hostname=account.helo,
    )
    try:
        await server.connect()
        yield server
    finally:
        server.close()
        await asyncio.sleep(0)  # the socket is closed in the loop's next turn, and this may be its last


async def _announce(server: aiosmtplib.SMTP, recipients: tuple[str, ...]) -> list[Refusal]:
    refused = []
    for address in recipients:
        try:
            await server.rcpt(address)
        except aiosmtplib.SMTPRecipientRefused as problem:
            reason = "".join(one if one.isprintable() else " " for one in str(problem.message))
            refused.append(Refusal(address, problem.code, reason[:LONGEST_REASON]))
    return refused


@contextmanager
def _may_have_happened() -> Iterator[None]:
    try:
        yield
    except (aiosmtplib.SMTPException, OSError) as problem:
        if isinstance(problem, aiosmtplib.SMTPDataError) and problem.code // 100 in _REFUSALS:
            raise
        raise OutcomeUnknownError(
            "the connection broke while the message was handed over: it may be on its way, or not; look first"
        ) from None


@contextmanager
def _in_words(account: SmtpAccount) -> Iterator[None]:
    try:
        yield
    except aiosmtplib.SMTPException as problem:
        raise ToolError(f"the mail server {account.address} {_why(problem, account)}") from None
    except OSError as problem:
        raise ToolError(f"the mail server {account.address} {unreachable(problem, account)}") from None


def _why(problem: aiosmtplib.SMTPException, account: SmtpAccount) -> str:
    if isinstance(problem, aiosmtplib.SMTPTimeoutError):
        return unreachable(TimeoutError(), account)
    if isinstance(problem, aiosmtplib.SMTPAuthenticationError):
        return f"refused the login ({problem.code})"
    if isinstance(problem, aiosmtplib.SMTPResponseException):
        return f"refused ({problem.code})"
    if isinstance(problem, aiosmtplib.SMTPConnectError) and isinstance(problem.__cause__, OSError):
        return unreachable(problem.__cause__, account)
    if isinstance(problem, aiosmtplib.SMTPServerDisconnected | aiosmtplib.SMTPConnectError):
        return "ended the conversation"
    return "does not offer what was agreed: STARTTLS, or a login"
