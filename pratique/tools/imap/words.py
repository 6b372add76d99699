"""Says in words, for an agent, why a mail server could not be used.

Rules:
- The words are ours. Of a server's own text only the response codes of RFC 5530 and RFC 9051 are passed on:
  a server can write anything, and may repeat what it was sent, the password included.
"""

import imaplib
import re
from collections.abc import Iterator
from contextlib import contextmanager

from imapclient.exceptions import CapabilityError, LoginError

from pratique.errors import OutcomeUnknownError, ToolError
from pratique.tools.mail_server import MailServer, unreachable

_CODES = re.compile(
    r"\[(ALERT|ALREADYEXISTS|AUTHENTICATIONFAILED|AUTHORIZATIONFAILED|CANNOT|CLIENTBUG|CONTACTADMIN|CORRUPTION"
    r"|EXPIRED|INUSE|LIMIT|NONEXISTENT|NOPERM|OVERQUOTA|PRIVACYREQUIRED"
    r"|SERVERBUG|TRYCREATE|TOOBIG|UNAVAILABLE)[\] ]"
)


@contextmanager
def in_words(server: MailServer) -> Iterator[None]:
    """Turn what a connection raises inside into a ToolError that names the server.

    Raises:
        ToolError: in words.
    """
    try:
        yield
    except OSError as problem:
        raise ToolError(f"the mail server {server.address} {unreachable(problem, server)}") from None
    except imaplib.IMAP4.error as problem:
        raise ToolError(f"the mail server {server.address} {_refusal(problem)}") from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, RecursionError):
        # imapclient raises these on answers that are not IMAP.
        raise ToolError(f"the mail server {server.address} gave an answer that is not IMAP") from None


@contextmanager
def may_have_happened() -> Iterator[None]:
    """Around what changes something: when the connection breaks here, nobody knows whether it changed.

    Raises:
        OutcomeUnknownError: the connection broke.
    """
    try:
        yield
    except (OSError, imaplib.IMAP4.abort):
        raise OutcomeUnknownError("the connection broke before the server answered: look first") from None


def _refusal(problem: imaplib.IMAP4.error) -> str:
    if isinstance(problem, CapabilityError):
        return "does not offer STARTTLS"
    found = _CODES.search(str(problem))
    code = f" ({found[1]})" if found else ""
    ended = isinstance(problem, imaplib.IMAP4.abort) or isinstance(problem.__context__, imaplib.IMAP4.abort)
    if ended and not code:
        return "ended the conversation, or does not keep to IMAP"
    if isinstance(problem, LoginError):
        return f"refused the login{code}"
    return f"refused{code}"
