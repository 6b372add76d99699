"""What every route works with: the runtime, who may come in, and what one caller may use at a time.

The server is a door: nothing in it decides or runs a call. It says who asks, and hands on.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import Request
from sqlalchemy import Connection

from pratique.capabilities.policy import Policy
from pratique.identity.keys import Keys
from pratique.identity.logins import Logins
from pratique.identity.people import People
from pratique.identity.throttle import Throttle
from pratique.ledger import queries
from pratique.runtime import Runtime
from pratique.server.auth.cookies import Cookies
from pratique.server.bounds import Rate, Slots
from pratique.server.feed import Feed
from pratique.server.serving import Serving
from pratique.settings import ServerSettings

STRANGERS = 600
"""Requests a minute from one address that show no credential, or none that is good."""

T = TypeVar("T")


class Door:
    """The parts of one server. Routes get it by `door(request)`.

    Args:
        runtime: what runs calls.
        settings: how it listens, and what it bears.
        company: the provider of the company's logins, if there is one (`pratique.server.auth.oidc`).
        metrics_token: who shows it may read the metrics from elsewhere.
    """

    def __init__(
        self, runtime: Runtime, settings: ServerSettings, *, company: Any = None, metrics_token: str = ""
    ) -> None:
        ledger = runtime.ledger
        self.runtime, self.ledger, self.settings = runtime, ledger, settings
        self.company, self.metrics_token = company, metrics_token
        self.people, self.keys = People(ledger), Keys(ledger)
        self.logins = Logins(ledger, int(settings.login_hours * 3600))
        self.throttle = Throttle(ledger.clock)
        self.cookies = Cookies(
            ledger.vault.derived("cookies"),
            ledger.clock,
            idle_us=int(settings.idle_minutes * 60_000_000),
            secure=settings.speaks_tls,
        )
        self.closing = asyncio.Event()
        self.serving = Serving(runtime, settings, self.closing)
        self.feed = Feed(ledger, self.closing)
        self.rate, self.strangers = Rate(settings.rate), Rate(STRANGERS)
        self.waits = Slots("calls that wait", settings.open_waits)
        self.streams = Slots("event streams", settings.open_streams)

    def glance(self, query: Callable[[Connection], T]) -> T:
        """Look something small up by its key, here and now: a thread would cost more than the look."""
        return self.ledger.read(query)

    async def policy(self) -> Policy:
        """Return the policy that is in force now, whoever put it there."""
        enforcement = self.runtime.enforcement
        if self.glance(queries.epoch) != enforcement.snapshot.epoch:
            await enforcement.refresh()
        return enforcement.snapshot.policy


def door(request: Request) -> Door:
    """Return the parts of the server that got this request."""
    found = request.app.state.door
    if not isinstance(found, Door):
        raise TypeError("not an application made by create_app")
    return found
