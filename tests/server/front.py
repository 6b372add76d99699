"""A server in the test's process, and who stands before it: agents with keys, people with cookies."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from fastapi import FastAPI

from pratique.identity.keys import Issued, Keys
from pratique.identity.people import People
from pratique.runtime import Runtime
from pratique.server.app import create_app
from pratique.settings_sections import ServerSettings

BASE = "http://127.0.0.1"
PASSWORD = "correct horse battery staple"


class Front:
    """A server, its runtime, and who comes to it.

    Args:
        runtime: what is behind it.
        settings: how it listens.
    """

    def __init__(self, runtime: Runtime, settings: ServerSettings) -> None:
        self.runtime, self.ledger = runtime, runtime.ledger
        self.app: FastAPI = create_app(runtime, settings, close=False)
        self._clients: list[httpx2.AsyncClient] = []

    def client(self, **options: Any) -> httpx2.AsyncClient:
        """Return a caller without a credential."""
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
        client = httpx2.AsyncClient(transport=transport, base_url=BASE, **options)
        self._clients.append(client)
        return client

    def key(self, agent: str = "support", acts_for: Iterable[str] = ("*",), **more: Any) -> Issued:
        """Issue a key."""
        return Keys(self.ledger).issue(agent, acts_for, "ana@acme.example", **more)

    def agent(self, key: Issued | None = None) -> httpx2.AsyncClient:
        """Return an agent with its key."""
        issued = key or self.key()
        return self.client(headers={"Authorization": f"Bearer {issued.text}"})

    async def person(self, name: str = "li@acme.example", *roles: str) -> httpx2.AsyncClient:
        """Return a person who has logged in by a link, with the CSRF token as a header."""
        people = People(self.ledger)
        if people.find(name) is None:
            people.add(name, "local:test", roles=roles)
        client = self.client()
        answer = await client.post("/api/v1/login/link", json={"link": people.link(name, "local:test")})
        assert answer.status_code == 204, answer.text
        client.headers["X-CSRF-Token"] = (await client.get("/api/v1/me")).json()["csrf"]
        return client

    async def aclose(self) -> None:
        """Let every caller go."""
        for client in self._clients:
            await client.aclose()


@asynccontextmanager
async def front_of(runtime: Runtime, **settings: Any) -> AsyncIterator[Front]:
    """Give a server before this runtime."""
    front = Front(runtime, ServerSettings(**settings))
    try:
        yield front
    finally:
        await front.aclose()
        await runtime.aclose()
