"""The connections of one account: lent to one call at a time, kept a while, opened when they are needed.

Rules:
- A kept connection is asked whether it is still there (NOOP) before it is lent again; one that is not is
  replaced, once. So nothing that changes anything is ever sent twice.
- Whatever goes wrong in a call closes its connection: the next call does not inherit half an answer.
- A call that is cancelled or takes too long has its connection cut, which ends the thread it runs in.
- When nobody has the tools any more, what is still open is closed.
"""

import imaplib
import threading
import time
import weakref
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import anyio

from pratique.errors import ToolError
from pratique.sandbox.threads import in_thread
from pratique.tools.imap.account import ImapAccount
from pratique.tools.imap.wire import Connection, Line, connect
from pratique.tools.imap.words import in_words

_Answer = TypeVar("_Answer")


class _Kept(NamedTuple):
    connection: Connection
    since: float


class Connections:
    """The connections of one account; usable from any thread or event loop.

    Args:
        account: whose they are.

    Raises:
        ToolDeclarationError: its CA file cannot be used.
    """

    def __init__(self, account: ImapAccount) -> None:
        self._account = account
        self._trust = account.trust()
        self._places = threading.BoundedSemaphore(account.connections)
        self._kept: list[_Kept] = []
        weakref.finalize(self, _close_all, self._kept)

    async def use(self, password: str, work: Callable[[Connection], _Answer]) -> _Answer:
        """Return what `work` makes of a connection that is logged in; it runs in a thread.

        Raises:
            ToolError: the server cannot be used, in words, or what `work` raises.
        """
        line = Line()
        try:
            return await in_thread(self._run, password, work, line, abandon_on_cancel=True)
        except anyio.get_cancelled_exc_class():
            line.cut()
            raise

    def _run(self, password: str, work: Callable[[Connection], _Answer], line: Line) -> _Answer:
        if not self._places.acquire(timeout=self._account.step_seconds):
            raise ToolError(f"all {self._account.connections} connections to the mail server are in use")
        try:
            with in_words(self._account):
                connection = self._connection(password, line)
                try:
                    answer = work(connection)
                except BaseException:
                    connection.close()
                    raise
                self._kept.append(_Kept(connection, time.monotonic()))
                return answer
        finally:
            self._places.release()

    def _connection(self, password: str, line: Line) -> Connection:
        """Return the connection used last, if it is still there, or a new one."""
        while self._kept:
            try:
                kept = self._kept.pop()
            except IndexError:  # another thread was faster
                break
            if time.monotonic() - kept.since <= self._account.idle_seconds:
                line.carry(kept.connection.wire)
                if _is_there(kept.connection):
                    return kept.connection
            kept.connection.close()
        return connect(self._account, self._trust, password, line)


def _is_there(connection: Connection) -> bool:
    try:
        connection.noop()
    except (OSError, imaplib.IMAP4.error, ValueError):
        return False
    return True


def _close_all(kept: list[_Kept]) -> None:
    while kept:
        kept.pop().connection.close()
