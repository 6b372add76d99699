"""A server's runtime, from elsewhere: the same `session.call` over HTTP as in process.

    async with pratique.client.connect("https://pratique.acme.example", key) as runtime:
        async with runtime.session(agent="support", user="kim@acme.example") as session:
            outcome = await session.call("mail.list", {"folder": "inbox"})

Rules:
- Outcomes, denials and errors are those of a runtime in process; what only a network can do is a `DoorError`.
- Every call has an id, so repeating it after a lost connection runs nothing twice, and that is done for you.
- The agent is the key's. Naming it here is a check, not a claim: it is not sent.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, Unpack

import httpx2
import orjson
from pydantic import TypeAdapter

from pratique.audit.canonical import canonical
from pratique.errors import (
    CanonicalError,
    DoorError,
    LedgerUnavailableError,
    NotAdmittedError,
    PolicyError,
    SessionClosedError,
    TooMuchError,
    UnknownTicketError,
)
from pratique.model import Outcome, Status, ToolSpec, clip
from pratique.sessions.hosting import SessionFacts
from pratique.sessions.session import CALL_ID

MARGIN_S = 15.0
"""Seconds that an answer may take beside the time that it waits for a person."""

TRIES = 3
LARGEST_ARGUMENTS = 16 * 1024 * 1024
LONGEST_ASKED = 3600.0

_SPECS = TypeAdapter(tuple[ToolSpec, ...])
_ERRORS: dict[str, type[Exception]] = {
    "urn:pratique:session-closed": SessionClosedError,
    "urn:pratique:unknown-session": SessionClosedError,
    "urn:pratique:unknown-ticket": UnknownTicketError,
    "urn:pratique:canonical": CanonicalError,
    "urn:pratique:ledger-unavailable": LedgerUnavailableError,
}


class Client:
    """A runtime behind a server. Made by `connect`; use it as an async context manager.

    Args:
        http: asks the server, with the key.
        wait: seconds that a call waits for a person when it does not say.
    """

    def __init__(self, http: httpx2.AsyncClient, *, wait: float = 0.0) -> None:
        self._http, self._wait = http, wait

    @asynccontextmanager
    async def session(self, **facts: Unpack[SessionFacts]) -> AsyncIterator["RemoteSession"]:
        """Open a session that ends with the block; see `SessionFacts`."""
        async with await self.open_session(**facts) as session:
            yield session

    async def open_session(self, **facts: Unpack[SessionFacts]) -> "RemoteSession":
        """Open a session that goes on until it is closed.

        Raises:
            NotAdmittedError: the key opens nothing, is another agent's, or does not act for this user.
        """
        body = {name: value for name, value in facts.items() if name not in {"agent", "api_key"}}
        opened = await self._ask("POST", "/sessions", body)
        session = RemoteSession(self, opened, self._wait)
        if opened["agent"] != facts["agent"]:
            await session.aclose()
            raise NotAdmittedError(f"the key is {opened['agent']!r}'s, not {facts['agent']!r}'s")
        return session

    async def resume_session(self, session: str) -> "RemoteSession":
        """Go on with a session that was left open.

        Raises:
            SessionClosedError: there is no such session of this key's, or it has ended.
        """
        found = await self._ask("POST", f"/sessions/{_part(session)}/resume", {})
        return RemoteSession(self, found, self._wait)

    async def tools(self) -> tuple[ToolSpec, ...]:
        """Return the tools of which the key's agent may call one.

        Raises:
            DoorError: the server does not answer, or does not let this in.
        """
        return _SPECS.validate_python(await self._ask("GET", "/agent/tools", {}))

    async def aclose(self) -> None:
        """Let go of the connections. Sessions stay open."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def outcome(self, path: str, body: Mapping[str, Any], wait: float, *, again: bool) -> Outcome:
        """Ask for an outcome; a denial is one. `again`: the request names its call, and may be repeated."""
        for left in range(TRIES - 1 if again else 0, -1, -1):
            try:
                answer = await self._http.post(path, content=_json(body), timeout=wait + MARGIN_S)
                break
            except httpx2.TransportError as lost:
                if not left:
                    raise DoorError(f"no answer from {self._http.base_url}: {lost}") from lost
                await asyncio.sleep(0.1 * 2 ** (TRIES - left))
        if answer.status_code in {200, 202}:
            return Outcome.model_validate_json(answer.content)
        problem = _problem(answer)
        if problem.get("type") == "urn:pratique:denied":
            return Outcome.model_validate(problem["outcome"])
        raise _error(answer, problem)

    async def _ask(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        try:
            answer = await self._http.request(method, path, content=_json(body), timeout=MARGIN_S)
        except httpx2.TransportError as problem:
            raise DoorError(f"no answer from {self._http.base_url}: {problem}") from problem
        if answer.is_success:
            return orjson.loads(answer.content) if answer.content else {}
        raise _error(answer, _problem(answer))


class RemoteSession:
    """A session on a server: what `pratique.sessions.session.Session` is in process.

    Args:
        client: asks the server.
        facts: what the server said when it was opened.
        wait: seconds that a call waits for a person when it does not say.
    """

    def __init__(self, client: Client, facts: Mapping[str, Any], wait: float) -> None:
        self._client, self._wait = client, wait
        self.id: str = facts["session"]
        self.trace_id: str = facts["trace_id"]
        self.agent: str = facts["agent"]
        self.user: str = facts["user"]
        self._output = ""
        self._final_action: str | None = None
        self._closed = False

    async def call(
        self,
        tool: str,
        args: Any = None,
        *,
        call_id: str | None = None,
        wait: float | None = None,
        why: str = "",
    ) -> Outcome:
        """Call a tool; see `pratique.sessions.session.Session.call`.

        Raises:
            SessionClosedError: the session has ended.
            LedgerUnavailableError: the server cannot record, so nothing runs.
            DoorError: the server does not answer, or does not let this in.
            CanonicalError: the arguments are no JSON, so that they cannot be sent.
            ValueError: the call id is none.
        """
        self._demand_open()
        if call_id is not None and not CALL_ID.fullmatch(call_id):
            raise ValueError(f"call_id {call_id[:40]!r}: take 1 to 128 visible ASCII characters")
        body = {
            "tool": str(tool),
            "args": orjson.Fragment(canonical({} if args is None else args, most_bytes=LARGEST_ARGUMENTS)),
            "call_id": call_id or f"c_{secrets.token_hex(8)}",
            "why": clip(why),
        }
        return await self._patiently("/calls", body, self._wait if wait is None else wait)

    async def redeem(self, ticket: str, *, wait: float | None = None) -> Outcome:
        """Go on with a pending call; see `pratique.sessions.session.Session.redeem`.

        Raises:
            UnknownTicketError: this session asked no such question.
        """
        self._demand_open()
        path = f"/tickets/{_part(ticket)}/redeem"
        return await self._patiently(path, {}, self._wait if wait is None else wait)

    async def tools(self) -> tuple[ToolSpec, ...]:
        """Return the tools of which this agent may call one; see `Session.tools`.

        Raises:
            DoorError: the server does not answer, or does not let this in.
        """
        return await self._client.tools()

    def finish(self, output: str, final_action: str | None = None) -> None:
        """State the run's final answer, for its trace."""
        self._output = output
        if final_action is not None:
            self._final_action = final_action

    async def aclose(self) -> None:
        """End the session and record its answer. A second time does nothing."""
        if not self._closed:
            self._closed = True
            body = {"output": self._output, "final_action": self._final_action}
            try:
                await self._client._ask("POST", f"/sessions/{self.id}/close", body)  # noqa: SLF001
            except SessionClosedError:
                return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _patiently(self, path: str, body: dict[str, Any], wait: float) -> Outcome:
        """Ask, and ask again while it is pending and there is time: a server bounds one request's wait."""
        clock = asyncio.get_running_loop().time
        until = clock() + wait
        left = wait
        outcome = await self._once(path, body, left)
        while outcome.status is Status.PENDING and (left := until - clock()) > 0:
            outcome = await self._once(f"/tickets/{outcome.ticket}/redeem", {}, left)
        return outcome

    async def _once(self, path: str, body: dict[str, Any], wait: float) -> Outcome:
        patience = min(max(wait, 0.0), LONGEST_ASKED)
        asked = {**body, "wait": patience}
        return await self._client.outcome(f"/sessions/{self.id}{path}", asked, patience, again=True)

    def _demand_open(self) -> None:
        if self._closed:
            raise SessionClosedError(f"the session {self.id} has ended")


def connect(
    url: str, key: str, *, wait: float = 0.0, transport: httpx2.AsyncBaseTransport | None = None
) -> Client:
    """Return a client of the server at `url`; nothing is sent yet.

    Args:
        url: the server's address, `https://pratique.acme.example`.
        key: an API key (`pratique keys issue`).
        wait: seconds that a call waits for a person when it does not say.
        transport: how requests travel; left out, over the network.
    """
    http = httpx2.AsyncClient(
        base_url=url.rstrip("/") + "/api/v1",
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        transport=transport,
        limits=httpx2.Limits(max_connections=256, max_keepalive_connections=64),
    )
    return Client(http, wait=wait)


def _json(body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError as problem:
        raise CanonicalError(f"arguments: {problem}") from None


def _part(text: str) -> str:
    """Return text that is one part of a path, whatever it is."""
    return text if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text) else "-"


def _problem(answer: httpx2.Response) -> dict[str, Any]:
    try:
        found = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _error(answer: httpx2.Response, problem: Mapping[str, Any]) -> Exception:
    detail = str(problem.get("detail") or problem.get("title") or answer.reason_phrase)
    kind = str(problem.get("type", ""))
    if kind in _ERRORS:
        return _ERRORS[kind](detail)
    if kind == "urn:pratique:policy":
        return PolicyError("session", [detail])
    if answer.status_code == 422:  # noqa: PLR2004
        return CanonicalError(detail)
    if answer.status_code in {401, 403}:
        return NotAdmittedError(f"{problem.get('title')}: {detail}")
    if answer.status_code == 429:  # noqa: PLR2004
        return TooMuchError(detail, int(answer.headers.get("retry-after", "1")))
    return DoorError(f"the server answered {answer.status_code}: {detail}")


__all__ = ["Client", "RemoteSession", "connect"]
