"""How notices leave: a webhook, e-mail, or anything that apprise speaks to.

Rules:
- A channel sends one notice and returns when it was taken, or says why not.
- It may be sent the same notice twice: the id tells.
"""

from typing import Protocol

from pratique.approvals.notices import Due
from pratique.errors import PratiqueError


class NotSentError(PratiqueError):
    """A notice was not taken.

    `for_good`: it never will be, so it is given up. `channel_is_down`: others would not be either.
    """

    def __init__(self, problem: str, *, for_good: bool = False, channel_is_down: bool = False) -> None:
        super().__init__(problem)
        self.for_good, self.channel_is_down = for_good, channel_is_down


class Channel(Protocol):
    """Where notices go.

    Attributes:
        name: as the settings name it; it is in the record.
        events: which notices go there.
        wants_people: whether it writes to people one by one, so that a notice without any is of no use.
    """

    name: str
    events: tuple[str, ...]
    wants_people: bool

    async def send(self, due: Due, people: tuple[str, ...]) -> None:
        """Send one notice.

        Args:
            due: what.
            people: who has to be told, by name; not for a payload that anybody else reads.

        Raises:
            NotSentError: it was not taken.
        """
