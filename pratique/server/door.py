"""What every route works with: the runtime, who may come in, and what one caller may use at a time.

The server is a door: nothing in it decides or runs a call. It says who asks, and hands on.
"""

from fastapi import Request

from pratique.identity.keys import Keys
from pratique.identity.logins import Logins
from pratique.identity.people import People
from pratique.identity.throttle import Throttle
from pratique.runtime import Runtime
from pratique.server.auth.cookies import Cookies
from pratique.settings import ServerSettings


class Door:
    """The parts of one server. Routes get it by `door(request)`.

    Args:
        runtime: what runs calls.
        settings: how it listens, and what it bears.
    """

    def __init__(self, runtime: Runtime, settings: ServerSettings) -> None:
        ledger = runtime.ledger
        self.runtime, self.ledger, self.settings = runtime, ledger, settings
        self.people, self.keys = People(ledger), Keys(ledger)
        self.logins = Logins(ledger, int(settings.login_hours * 3600))
        self.throttle = Throttle(ledger.clock)
        self.cookies = Cookies(
            ledger.vault.derived("cookies"),
            ledger.clock,
            idle_us=int(settings.idle_minutes * 60_000_000),
            secure=settings.speaks_tls,
        )


def door(request: Request) -> Door:
    """Return the parts of the server that got this request."""
    found = request.app.state.door
    if not isinstance(found, Door):
        raise TypeError("not an application made by create_app")
    return found
