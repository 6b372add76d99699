"""E-mail to the people who have to be told; extra `mail`.

Rules:
- One message for each notice, and one envelope for each person: nobody sees who else is told.
- The Message-ID follows from the notice and the person, so that a repeat can be recognised.
- People without a mail address (`local:…`) are not written to.
- Plain text: what happened, and the link. TLS is checked against the system's authorities, or a CA file.
"""

import hashlib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from pratique.approvals.channels import NotSentError
from pratique.approvals.notices import Due
from pratique.errors import DependencyError

try:
    import aiosmtplib
except ImportError:  # pragma: no cover  # the extra is not installed
    aiosmtplib = None  # type: ignore[assignment]  # told in `Mail`

SECONDS = 30.0
TLS = Literal["implicit", "starttls", "none"]


class Mail:
    """A mail server that notices are handed to.

    Args:
        host, port: of the server.
        tls: `implicit`, `starttls`, or `none` for a relay on this machine.
        sender: the address in whose name they are sent.
        username, password: to log in, if given.
        events: which notices.
        ca_file: believed besides the system's authorities.

    Raises:
        DependencyError: the extra `mail` is not installed.
    """

    name = "mail"
    wants_people = True

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: TLS,
        sender: str,
        events: tuple[str, ...],
        username: str = "",
        password: SecretStr | None = None,
        ca_file: Path | None = None,
    ) -> None:
        if aiosmtplib is None:  # pragma: no cover  # as above
            raise DependencyError("notify.mail needs the extra: pip install 'pratique[mail]'")
        self.events = events
        self._host, self._port, self._tls, self._sender = host, port, tls, sender
        self._username, self._password = username, password
        self._context = ssl.create_default_context(cafile=ca_file) if tls != "none" else None

    async def send(self, due: Due, people: tuple[str, ...]) -> None:
        """Hand in one message for each person; see `Channel.send`."""
        refused = []
        for person in people:
            try:
                await self._hand_in(self._message(due, person), person)
            except aiosmtplib.SMTPResponseException as problem:
                if not 500 <= problem.code < 600:  # noqa: PLR2004  # RFC 5321, 4.2.1: permanent
                    raise NotSentError(f"SMTP {problem.code}") from problem
                refused.append(problem.code)
            except aiosmtplib.SMTPRecipientsRefused as problem:
                codes = [one.code for one in problem.recipients]
                if any(code < 500 for code in codes):  # noqa: PLR2004  # as above
                    raise NotSentError(f"SMTP {codes}") from problem
                refused += codes
            except (aiosmtplib.SMTPException, OSError) as problem:
                raise NotSentError(type(problem).__name__, channel_is_down=True) from problem
        if len(refused) == len(people):
            raise NotSentError(f"refused for everybody: SMTP {refused}", for_good=True)

    async def _hand_in(self, message: EmailMessage, person: str) -> None:
        await aiosmtplib.send(
            message,
            sender=self._sender,
            recipients=[person],
            hostname=self._host,
            port=self._port,
            use_tls=self._tls == "implicit",
            start_tls=self._tls == "starttls",
            username=self._username or None,
            password=self._password.get_secret_value() if self._password else None,
            tls_context=self._context,
            timeout=SECONDS,
        )

    def _message(self, due: Due, person: str) -> EmailMessage:
        notice = due.notice
        message = EmailMessage(policy=SMTP)
        key = hashlib.sha256(f"{notice.id} {person}".encode()).hexdigest()[:40]
        message["Message-ID"] = f"<{key}@{self._sender.rpartition('@')[2]}>"
        message["Date"] = formatdate(notice.at_us / 1_000_000)
        message["From"] = self._sender
        message["To"] = person
        message["Subject"] = f"{notice.tool}: {notice.words}"
        message["Auto-Submitted"] = "auto-generated"
        lines = [f"{notice.title}.", "", notice.link or f"pratique approvals show {notice.ticket}", ""]
        message.set_content("\n".join(lines))
        return message


def addresses(people: tuple[str, ...]) -> tuple[str, ...]:
    """Return those who have a mail address."""
    return tuple(person for person in people if "@" in person and not person.startswith("local:"))
