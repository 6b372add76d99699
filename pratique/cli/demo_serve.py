"""The server of `pratique demo`: in the demo's own process, with an agent's key and a person's way in.

Rules:
- It is the server of `pratique serve`, on loopback, and nobody has a way in but the two who are made here.
- It takes no signals: Ctrl-C is the demo's.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import NamedTuple

import httpx2

from pratique import client
from pratique.errors import SettingsError
from pratique.identity.keys import Keys
from pratique.identity.people import People
from pratique.runtime import Runtime
from pratique.settings import Settings

AGENT, PERSON, BY = "support", "li@acme.example", "local:demo"


class Served(NamedTuple):
    """A server that runs: the agent's way in, and the person's."""

    agent: client.Client
    address: str
    link: str


@asynccontextmanager
async def serving(runtime: Runtime, settings: Settings, user: str) -> AsyncIterator[Served]:
    """Serve the runtime meanwhile, for an agent that acts for this user."""
    from pratique.server.app import create_app  # noqa: PLC0415  # the web stack is slow to import
    from pratique.server.listen import Server, address_of, listening, server_for  # noqa: PLC0415

    class Embedded(Server):
        """A server that leaves signals to whoever runs it."""

        def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
            """Capture none."""
            return nullcontext()

    try:
        socket = listening(settings.server)
    except SettingsError:  # the usual port is taken: any other will do
        settings = settings.with_server(port=0)
        socket = listening(settings.server)
    app = create_app(runtime, settings.server, close=False)
    server = Embedded(server_for(app, settings).config, app.state.door)
    task = asyncio.create_task(server.serve(sockets=[socket]), name="pratique-demo-server")
    address = address_of(settings.server, socket.getsockname()[1])
    people = People(runtime.ledger)
    people.add(PERSON, BY, roles=["owner"])
    key = Keys(runtime.ledger).issue(AGENT, [user], BY, days=1, label="the demo").text
    link = f"{address}/login/link/{people.link(PERSON, BY)}"
    try:
        async with client.connect(address, key, transport=httpx2.AsyncHTTPTransport()) as agent:
            yield Served(agent, address, link)
    finally:
        app.state.door.closing.set()
        server.should_exit = True
        await task
