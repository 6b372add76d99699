"""What every route works with: the runtime, who may come in, and what one caller may use at a time.

The server is a door: nothing in it decides or runs a call. It says who asks, and hands on.
"""

import asyncio
from typing import Any

from fastapi import Request

from pratique.capabilities.policy import Policy
from pratique.identity.keys import Keys
from pratique.identity.logins import Logins
from pratique.identity.people import People
from pratique.identity.throttle import Throttle
from pratique.ledger.glance import Glance
from pratique.runtime import Runtime
from pratique.server.auth.cookies import Cookies
from pratique.server.bounds import Rate, Slots
from pratique.server.feed import Feed
from pratique.server.serving import Serving
from pratique.settings_sections import ServerSettings

STRANGERS = 600
"""Requests a minute from one address that show no credential, or none that is good."""


class Door:
    """The parts of one server. Routes get it by `door(request)`.

    Args:
        runtime: what runs calls.
        settings: how it listens, and what it bears.
        company: the provider of the company's logins, if there is one (`pratique.server.auth.oidc`).
        metrics_token: who shows it may read the metrics from elsewhere.
        tokens: what access tokens open (`pratique.server.auth.tokens`), if they open anything.
    """

    def __init__(
        self,
        runtime: Runtime,
        settings: ServerSettings,
        *,
        company: Any = None,
        metrics_token: str = "",
        tokens: Any = None,
    ) -> None:
        ledger = runtime.ledger
        self.runtime, self.ledger, self.settings = runtime, ledger, settings
        self.company, self.metrics_token, self.tokens = company, metrics_token, tokens
        self.people, self.keys = People(ledger), Keys(ledger)
        self.logins = Logins(ledger, int(settings.login_hours * 3600))
        self.throttle = Throttle(ledger.clock)
        self.cookies = Cookies(
            ledger.vault.derived("cookies"),
            ledger.clock,
            idle_us=int(settings.idle_minutes * 60_000_000),
            secure=settings.speaks_tls,
        )
        self.glance = Glance(ledger.path)
        self.closing = asyncio.Event()
        self.serving = Serving(runtime, settings, self.closing)
        self.feed = Feed(ledger, self.closing)
        self.rate, self.strangers = Rate(settings.rate), Rate(STRANGERS)
        self.waits = Slots("calls that wait", settings.open_waits)
        self.streams = Slots("event streams", settings.open_streams)

    async def policy(self, epoch: int | None = None) -> Policy:
        """Return the policy that is in force now, whoever put it there.

        Args:
            epoch: the epoch in force, for who has looked already.
        """
        enforcement = self.runtime.enforcement
        if epoch is None:
            stale = self.ledger.read(enforcement.is_stale)
        else:
            stale = epoch != enforcement.snapshot.epoch
        if stale:
            await enforcement.refresh()
        return enforcement.snapshot.policy


def door(request: Request) -> Door:
    """Return the parts of the server that got this request."""
    found = request.app.state.door
    if not isinstance(found, Door):
        raise TypeError("not an application made by create_app")
    return found
