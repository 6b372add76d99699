"""One connection to an IMAP server: opened, encrypted, logged in, and never larger than its bounds.

Rules:
- What one command may bring in is bounded, whatever sizes the server announces.
- Each wait has the account's time limit. `Wire.cut` ends any wait at once, from another thread.
- Nothing is believed before TLS is up: a server that greets with PREAUTH cannot be asked for STARTTLS
  any more, and is refused (RFC 9051, 7.1.4).
- The password goes out by SASL PLAIN (RFC 4616) where that is offered, else by LOGIN.
"""

import imaplib
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from imapclient import IMAPClient

from pratique.tools.imap.account import ImapAccount
from pratique.tools.mailbox import HEAD, LARGEST_MESSAGE

MOST_PER_COMMAND = max(LARGEST_MESSAGE, 200 * HEAD) + 2 * 1024 * 1024
"""Bytes: a whole message, or a page of 200 beginnings, and what stands around them."""

LINE = 500
"""Bytes that a line counts more than it has: what a short line costs is work, not room."""


class Wire(imaplib.IMAP4):
    """The standard library's connection, with bounds.

    Args:
        account: where to connect.
        trust: what the certificate is checked with; None is plain text.
        line: is told of this object before anything waits.
    """

    def __init__(self, account: ImapAccount, trust: ssl.SSLContext | None, line: "Line") -> None:
        self._implicit = trust if account.tls == "implicit" else None
        self._room = MOST_PER_COMMAND
        self._line = line
        super().__init__(account.host, account.port, account.step_seconds)

    def read(self, size: int) -> bytes:
        """Read a literal, whose size the server announced."""
        self._take(size)
        return super().read(size)

    def readline(self) -> bytes:
        """Read a line."""
        line = super().readline()
        self._take(len(line) + LINE)
        return line

    def send(self, data: bytes) -> None:  # type: ignore[override]  # typeshed has any buffer; we send bytes
        """Send; what comes next answers this."""
        self._room = MOST_PER_COMMAND
        super().send(data)

    def cut(self) -> None:
        """End what this connection waits for."""
        with suppress(OSError, AttributeError):  # not open yet, or closed already
            # Not SSLSocket.shutdown, which takes the TLS state from under the thread that is reading.
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        self.sock = socket.create_connection((self.host, self.port), timeout)
        self._line.carry(self)
        if self._implicit is None:
            return self.sock
        try:
            # The handshake waits for the server, and by then `cut` must find the socket.
            self.sock = self._implicit.wrap_socket(
                self.sock, server_hostname=self.host, do_handshake_on_connect=False
            )
            self.sock.do_handshake()
        except BaseException:
            self.sock.close()
            raise
        return self.sock

    def _take(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise self.abort(f"an answer of more than {MOST_PER_COMMAND:,} bytes")


class Line:
    """What one call holds on to, so that it can be ended from outside while it waits."""

    def __init__(self) -> None:
        self._wire: Wire | None = None
        self._is_cut = False

    def carry(self, wire: Wire) -> None:
        """Take note of the connection that is in use."""
        self._wire = wire
        if self._is_cut:
            wire.cut()

    def cut(self) -> None:
        """End the call's waiting, now or when it begins."""
        self._is_cut = True
        if self._wire is not None:
            self._wire.cut()


class Connection(IMAPClient):  # type: ignore[misc]  # imapclient ships no types
    """A client whose connection is a `Wire`.

    Args:
        account: where to connect.
        trust: what the certificate is checked with.
        line: the call for which it is opened.
    """

    def __init__(self, account: ImapAccount, trust: ssl.SSLContext | None, line: Line) -> None:
        self._wire_of: Callable[[], Wire] = lambda: Wire(account, trust, line)
        super().__init__(
            account.host, account.port, ssl=account.tls == "implicit", timeout=account.step_seconds
        )
        self.normalise_times = False

    @property
    def wire(self) -> Wire:
        """The connection itself."""
        wire: Wire = self._imap
        return wire

    def _create_IMAP4(self) -> Wire:  # noqa: N802  # imapclient's name
        return self._wire_of()

    def close(self) -> None:
        """Close it without a word."""
        with suppress(OSError):
            self.shutdown()


def connect(account: ImapAccount, trust: ssl.SSLContext | None, password: str, line: Line) -> Connection:
    """Return a connection that is logged in.

    Raises:
        OSError, imaplib.IMAP4.error: of any step; `words.in_words` says what they mean.
    """
    connection = Connection(account, trust, line)
    try:
        if account.tls == "starttls":
            connection.starttls(trust)
        _log_in(connection, account.user, password)
    except BaseException:
        connection.close()
        raise
    return connection


def _log_in(connection: Any, user: str, password: str) -> None:
    if connection.has_capability("AUTH=PLAIN"):
        connection.plain_login(user, password)
    else:
        connection.login(user, password)
