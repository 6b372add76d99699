"""MCP over Streamable HTTP, at `/mcp`: an agent comes in with its key, as everywhere else, or with a token.

Rules:
- The agent is the key's. The user is whom the key acts for, or whom its holder names in `Pratique-User`.
- A session belongs to the key, the user and the run (`Pratique-Run`) that it was opened for. No transport
  session is kept, so there is none to take over. A restart goes on with it, and with what it has seen.
- A browser's page from elsewhere is refused; unknown hosts are refused before it comes here.
- Who asks when nobody has asked for an hour, and nothing waits, gets a new session, which has seen nothing.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from fastapi import FastAPI, Request, Response
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Receive, Scope, Send

from pratique.adapters.mcp.calling import Calling
from pratique.adapters.mcp.server import Context, tool_server
from pratique.errors import SessionClosedError
from pratique.identity.keys import Key
from pratique.model import Outcome, ToolSpec
from pratique.server.auth.people import demand_same_origin
from pratique.server.auth.resource import PATH, Caller
from pratique.server.door import Door
from pratique.server.mcp_runs import IDLE_US, inputs_of, left_open, waits
from pratique.server.problems import Problem
from pratique.sessions.session import Session

USER, RUN = "pratique-user", "pratique-run"
LONGEST_NAME = 254
LONGEST_RUN = 128


class Who(NamedTuple):
    """Whose calls a request makes."""

    key: Key
    user: str
    run: str

    @property
    def principal(self) -> str:
        """Whom a state that a client gives back is good for."""
        return f"{self.key.id}\n{self.user}\n{self.run}"


class Through:
    """A session that the server holds, as an adapter wants it.

    Args:
        here: the server.
        who: whose it is.
        session: its id.
        ended: is called when it turns out to be over.
    """

    def __init__(self, here: Door, who: Who, session: str, ended: Callable[[], None]) -> None:
        self._here, self._key, self._ended = here, who.key, ended
        self.id = session

    async def tools(self) -> tuple[ToolSpec, ...]:
        """Return what the key's agent is offered."""
        return await self._here.runtime.tools(self._key.agent)

    async def call(
        self, tool: str, args: Any = None, *, call_id: str | None = None, wait: float | None = None
    ) -> Outcome:
        """Make a call; see `Session.call`."""
        serving = self._here.serving
        return await self._open(
            serving.call(self._key, self.id, tool, args, call_id=call_id, wait=wait or 0.0)
        )

    async def redeem(self, ticket: str, *, wait: float | None = None) -> Outcome:
        """Go on with a call of this session; what another run read would come here without its marks."""
        serving = self._here.serving
        return await self._open(serving.redeem(self._key, self.id, ticket, wait=wait or 0.0))

    async def _open(self, call: Awaitable[Outcome]) -> Outcome:
        try:
            return await call
        except SessionClosedError:
            self._ended()
            raise


class Runs:
    """The sessions behind MCP requests.

    Args:
        here: the server.
    """

    def __init__(self, here: Door) -> None:
        self._here = here
        self._known: OrderedDict[str, tuple[Calling, int]] = OrderedDict()
        self._finding: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def find(self, context: Context) -> Calling:
        """Return whose calls a request makes."""
        who = who_of(context)
        name = who.principal
        async with self._finding.setdefault(name, asyncio.Lock()):  # a long session holds up its own client
            now = self._here.ledger.clock()
            found = self._known.get(name)
            if found is not None and now - found[1] >= IDLE_US and not await self._waits(found[0]):
                await self._close(who.key, found[0].session.id)
                found = None
            calling = await (self._begin(who) if found is None else self._here_again(who.key, found[0]))
            self._known[name] = (calling, now)
            self._known.move_to_end(name)
            if len(self._known) > self._here.settings.sessions:
                self._known.popitem(last=False)
        return calling

    async def _begin(self, who: Who) -> Calling:
        """Go on with the session that an earlier process served, or that was let go here; else open one."""
        here = self._here
        subject = here.ledger.vault.subject_id(who.user)
        name = await here.ledger.query(
            lambda connection: left_open(connection, here.ledger, who.key.id, subject, who.run)
        )
        try:
            session = await (self._open(who) if name is None else here.serving.take_over(who.key, name))
        except SessionClosedError:  # it ended since it was found
            session = await self._open(who)
        return Calling(Through(self._here, who, session.id, lambda: self._forget(who.principal, session.id)))

    async def _here_again(self, key: Key, calling: Calling) -> Calling:
        """Take a session back that another server on the same ledger has gone on with."""
        with contextlib.suppress(SessionClosedError):  # the call says so, and the next request begins anew
            await self._here.serving.take_over(key, calling.session.id)
        return calling

    async def _open(self, who: Who) -> Session:
        inputs = inputs_of(who.run)
        return await self._here.serving.open(
            who.key, agent=who.key.agent, user=who.user, api_key=who.key.id, inputs=inputs
        )

    async def _waits(self, calling: Calling) -> bool:
        now_us, session = self._here.ledger.clock(), calling.session.id
        return calling.waits or await self._here.ledger.query(lambda c: waits(c, session, now_us))

    async def _close(self, key: Key, session: str) -> None:
        try:
            await self._here.serving.close(key, session, "", None)
        except SessionClosedError:
            return

    def _forget(self, name: str, session: str) -> None:
        found = self._known.get(name)
        if found is not None and found[0].session.id == session:
            del self._known[name]


class _Handed(Response):
    """An answer that the protocol's own transport gives."""

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        super().__init__()
        self._manager = manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the transport answer."""
        await self._manager.handle_request(scope, receive, send)


def mount(app: FastAPI, here: Door) -> Callable[[], Any]:
    """Add `/mcp` to an application; return what runs meanwhile."""
    address = here.settings.public_url
    server = tool_server(
        Runs(here).find,
        state_key=here.ledger.vault.derived("mcp request state"),
        audience="pratique",
        principal=lambda context: who_of(context).principal,
        link=lambda ticket: f"{address}/queue/{ticket}" if address else "",
        patience=min(20.0, here.settings.longest_wait),
    )
    managers: list[StreamableHTTPSessionManager] = []

    @app.api_route(PATH, methods=["GET", "POST", "DELETE"], include_in_schema=False)
    async def mcp(request: Request, key: Caller) -> Response:
        demand_same_origin(request)
        request.state.mcp = _who(request, key)
        if not managers:
            raise Problem(503, "not started", "the server has not started, or is about to end")
        return _Handed(managers[-1])

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        manager = StreamableHTTPSessionManager(
            server, stateless=True, max_request_body_size=here.settings.body_bytes
        )
        async with manager.run():
            managers.append(manager)
            try:
                yield
            finally:
                managers.remove(manager)

    return running


def who_of(context: Context) -> Who:
    """Return who makes a request.

    Raises:
        TypeError: it did not come through the door.
    """
    who = getattr(getattr(context.request, "state", None), "mcp", None)
    if not isinstance(who, Who):
        raise TypeError("an MCP request that did not come through the door")
    return who


def _who(request: Request, key: Key) -> Who:
    """Return whom a key's holder says the request is for.

    Raises:
        Problem: 400 it names nobody, and the key does not say; 403 the key does not act for them.
    """
    user, run = request.headers.get(USER, ""), request.headers.get(RUN, "")
    if not user and len(key.acts_for) == 1 and "*" not in key.acts_for[0]:
        user = key.acts_for[0]
    if not user or len(user) > LONGEST_NAME or len(run) > LONGEST_RUN:
        raise Problem(400, "nobody is named", "say in Pratique-User for whom the agent acts")
    if not key.may_act_for(user):
        raise Problem(403, "the key does not act for this user", f"it acts for {', '.join(key.acts_for)}")
    return Who(key, key.as_spelt(user), run)
