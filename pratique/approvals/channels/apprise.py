"""Anything that apprise speaks to (chat, push, pager); extra `notify`.

Rules:
- The address holds credentials, so it is a secret, and never logged.
- Everybody behind it reads the notice: it names groups, never persons.
"""

from typing import Any

from pydantic import SecretStr

from pratique.approvals.channels import NotSentError
from pratique.approvals.notices import Due
from pratique.errors import DependencyError, SettingsError


class Apprise:
    """One apprise address.

    Args:
        name: as the settings name it.
        url: apprise's address of the service.
        events: which notices.

    Raises:
        DependencyError: the extra `notify` is not installed.
        SettingsError: apprise does not know the address.
    """

    wants_people = False

    def __init__(self, name: str, url: SecretStr, events: tuple[str, ...]) -> None:
        try:
            import apprise  # noqa: PLC0415  # an extra, and slow to import
        except ImportError:
            raise DependencyError("notify.apprise needs the extra: pip install 'pratique[notify]'") from None
        self.name, self.events = f"apprise:{name}", events
        self._to: Any = apprise.Apprise()
        if not self._to.add(url.get_secret_value()):
            raise SettingsError(f"notify.apprise.{name}.secret: apprise knows no such address")

    async def send(self, due: Due, people: tuple[str, ...]) -> None:
        """Send one notice; see `Channel.send`."""
        del people
        notice = due.notice
        body = notice.link or f"pratique approvals show {notice.ticket}"
        if not await self._to.async_notify(title=notice.title, body=body):
            raise NotSentError("apprise could not send it", channel_is_down=True)
