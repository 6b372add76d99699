"""A connection to one MCP server, made when it is needed and made anew when it was lost.

Rules:
- A call is sent only where its tool was listed and checked: on that very link, with no word since then that
  the tools changed. Nothing is listed here that nobody compares.
- A call is sent once. If its answer does not come (the server died, hung, or answers what is no answer),
  nobody knows whether it ran: `OutcomeUnknownError`, and no second try. What was surely not sent is a
  `ProxiedServerError`; what the server says that it did not take is a `SaidNotRunError`: its word, no more.
- A server that let a call wait too long is not asked again: the next need starts another one.
- No word of the server's is in an error: an agent reads those as ours. Its words go to the log.
- What a server asks of us (sampling, elicitation, roots, input) is refused, always.
- A result is not held against the tool's `outputSchema` here: a pattern in it may take for ever to match.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import mcp_types as types
import structlog
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    REQUEST_TIMEOUT,
)
from pydantic import TypeAdapter, ValidationError

from pratique.appearance import visible
from pratique.errors import OutcomeUnknownError, ProxiedServerError
from pratique.proxy.bounds import Bounds
from pratique.proxy.link import Link, Opener

log = structlog.get_logger("pratique")

NOT_TAKEN = frozenset({METHOD_NOT_FOUND, INVALID_PARAMS, HEADER_MISMATCH})
"""Errors with which a server says that it did not begin a call."""

SESSION_GONE = frozenset({CONNECTION_CLOSED, REQUEST_TIMEOUT, INVALID_REQUEST, PARSE_ERROR})
"""Errors (the SDK's own among them) after which the connection is not used again."""

_ANSWER: TypeAdapter[Any] = TypeAdapter(types.CallToolResult | types.InputRequiredResult)
_LONGEST_WORDS = 500


class StaleListingError(ProxiedServerError):
    """The call was not sent: what was checked may not be what the server has now. List again, and compare."""


class SaidNotRunError(ProxiedServerError):
    """The server got the call, and says that it did not run. Only it can know."""


class Listed(NamedTuple):
    """What a server listed, and where: a call may be sent there as long as nothing changed.

    Attributes:
        tools: each as the JSON of the protocol's `Tool`.
        link: the connection on which they were listed.
        changes: how often the server had said by then that its tools changed.
    """

    tools: list[dict[str, Any]]
    link: Link
    changes: int


class Connection(Protocol):
    """One MCP server, as the proxy uses it. Safe for many calls at a time."""

    async def listed(
        self,
        *,
        max_age: float = 0.0,
        timeout: float | None = None,  # noqa: ASYNC109  # a server that hangs is ended
    ) -> Listed:
        """Return every tool that the server lists.

        Args:
            max_age: seconds that a list may be old. One from before a `tools/list_changed`, or from another
                life of the server, is never given.
            timeout: seconds for all of it, a start of the server included, if less than the bounds give.

        Raises:
            ProxiedServerError: the server cannot be had, or its list is none that may be believed.
        """
        ...

    async def call(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        listed: Listed,
        timeout: float,  # noqa: ASYNC109  # the server is told, too
    ) -> dict[str, Any]:
        """Call a tool and return the JSON of its `CallToolResult`; `isError` is kept.

        Args:
            name: as the server calls it.
            arguments: JSON values.
            listed: what was checked; it is sent nowhere else.
            timeout: seconds until the answer.

        Raises:
            StaleListingError: it was not sent, because that was listed elsewhere, or has changed.
            SaidNotRunError: the server says that it did not run.
            ProxiedServerError: it did not run.
            OutcomeUnknownError: it may have run; it is never repeated here.
        """
        ...

    async def aclose(self) -> None:
        """End the server, or the connection to it. A second call does nothing."""
        ...


class ServerConnection:
    """A `Connection` that is made when first needed, and anew when it was lost.

    Args:
        name: of the server, for people.
        opener: starts or reaches it (`child.child`, `remote.remote`).
        bounds: what it gets.
        mode: which version to speak: `auto` (the newest that it has), `legacy` (2025-11-25), or a version.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        name: str,
        opener: Opener,
        bounds: Bounds | None = None,
        *,
        mode: str = "auto",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._opener, self._bounds, self._mode, self._clock = opener, bounds or Bounds(), mode, clock
        self._link: Link | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._listed: tuple[Listed, float] | None = None
        self._listing = asyncio.Lock()
        self._closed = False

    async def definitions(
        self,
        *,
        max_age: float = 0.0,
        timeout: float | None = None,  # noqa: ASYNC109  # a server that hangs is ended
    ) -> list[dict[str, Any]]:
        """Return the tools alone: see `listed`."""
        return (await self.listed(max_age=max_age, timeout=timeout)).tools

    async def listed(
        self,
        *,
        max_age: float = 0.0,
        timeout: float | None = None,  # noqa: ASYNC109  # a server that hangs is ended
    ) -> Listed:
        """List the server's tools: see `Connection`."""
        asked, most = self._clock(), self._bounds.start + self._bounds.listing
        seconds = most if timeout is None else min(timeout, most)
        async with self._listing:
            # Who waited for somebody else's list has one that is younger than the question.
            if (known := self._known(max(max_age, self._clock() - asked))) is not None:
                return known
            link = self._usable()
            changes, began = link.changes, self._clock()
            with link.used():
                try:
                    async with asyncio.timeout(seconds):
                        client = await link.client()
                        async with asyncio.timeout(self._bounds.listing):
                            found = await self._pages(client)
                except TimeoutError:
                    link.retire()
                    within = min(seconds, self._bounds.listing)
                    raise self._error(f"did not list its tools within {within:g} s") from None
                except ProxiedServerError:
                    link.retire()
                    raise
                except (MCPError, ValidationError, RuntimeError, ValueError) as problem:
                    why = self._why(link, problem)
                    link.retire()
                    raise self._error(f"did not list its tools: {why}") from problem
            listed = Listed(found, link, changes)
            self._listed = (listed, began)
            return listed

    async def call(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        listed: Listed,
        timeout: float,  # noqa: ASYNC109  # the server is told, too
    ) -> dict[str, Any]:
        """Call a tool: see `Connection`."""
        link = listed.link
        self._demand_current(listed)
        with link.used():
            try:
                client = await link.client()  # it was there when it listed: this does not wait
                self._demand_current(listed)
                async with asyncio.timeout(timeout):
                    answer = await client.session.send_request(_request(name, arguments), _ANSWER)
            except TimeoutError:
                link.retire()
                raise self._unknown(f"did not answer within {timeout:g} s") from None
            except MCPError as problem:
                raise self._refused(link, problem) from problem
            except (ValidationError, RuntimeError, ValueError) as problem:
                link.retire()
                raise self._unknown(
                    f"gave no answer that can be read: {self._why(link, problem)}"
                ) from problem
        if isinstance(answer, types.InputRequiredResult):
            self._log("asked for input instead of answering", ", ".join(answer.input_requests or {}))
            raise self._said_not_run("asked for input (elicitation, sampling or roots), which no server gets")
        found: dict[str, Any] = answer.model_dump(by_alias=True, mode="json", exclude_unset=True)
        return found

    async def aclose(self) -> None:
        """End it: see `Connection`."""
        self._closed = True
        if self._link is not None:
            self._let_go(self._link)
            self._link = None
        while self._ending:
            await asyncio.wait(self._ending)

    def _demand_current(self, listed: Listed) -> None:
        """Raise unless nothing is known to have changed since something was listed."""
        if self._closed:
            raise self._error("was closed: open the runtime again")
        if listed.link is not self._link or not listed.link.usable:
            raise StaleListingError(
                f"the MCP server {self.name} was lost before the call, which was not sent"
            )
        if listed.link.changes != listed.changes:
            raise StaleListingError(f"the MCP server {self.name} changed its tools: the call was not sent")

    def _usable(self) -> Link:
        """Return the link in use, or the start of another one."""
        if self._closed:
            raise self._error("was closed: open the runtime again")
        if self._link is None or not self._link.usable:
            if self._link is not None:
                self._let_go(self._link, now=False)
            self._link = Link(self.name, self._opener, self._bounds, self._mode)
        return self._link

    def _let_go(self, link: Link, *, now: bool = True) -> None:
        """Have a link end, and remember until it has."""
        task = asyncio.create_task(link.aclose() if now else link.gone())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _known(self, max_age: float) -> Listed | None:
        if self._listed is None or max_age <= 0:
            return None
        found, began = self._listed
        link = found.link
        fresh = link is self._link and link.usable and link.changes == found.changes
        return found if fresh and self._clock() - began <= max_age else None

    async def _pages(self, client: Client) -> list[dict[str, Any]]:
        """Ask for page after page, within the bounds."""
        found: dict[str, dict[str, Any]] = {}
        size, cursor, seen = 0, None, set[str]()
        for _ in range(self._bounds.pages):
            page = await client.session.list_tools(params=_after(cursor))
            for tool in page.tools:
                text = tool.model_dump_json(by_alias=True, exclude_unset=True)
                size += len(text)
                if tool.name in found:
                    raise self._error("lists two tools under one name")
                if len(found) >= self._bounds.tools:
                    raise self._error(f"lists more than {self._bounds.tools} tools")
                if size > self._bounds.definitions_bytes:
                    raise self._error(f"lists more than {self._bounds.definitions_bytes:,} bytes of tools")
                found[tool.name] = tool.model_dump(by_alias=True, mode="json", exclude_unset=True)
            cursor = page.next_cursor
            if cursor is None:
                return list(found.values())
            if cursor in seen:
                raise self._error("gives the same page of its list again")
            seen.add(cursor)
        raise self._error(f"lists its tools on more than {self._bounds.pages} pages")

    def _refused(self, link: Link, problem: MCPError) -> ProxiedServerError | OutcomeUnknownError:
        """Return what an error answer, or the end of the connection, says about the call."""
        code = problem.error.code
        if link.fate.was_not_sent(problem.error.message):
            return self._error("could not be reached: the call was not sent")
        if code in NOT_TAKEN:
            self._log("refused a call", problem.error.message)
            return self._said_not_run(f"refused the call (error {code})")
        if code in SESSION_GONE:
            link.retire()
        if code == CONNECTION_CLOSED or link.fate.over.is_set():
            return self._unknown(f"was lost during the call: {self._why(link, problem)}")
        self._log("answered a call with an error", problem.error.message)
        return self._unknown(f"answered with error {code}")

    def _why(self, link: Link, problem: Exception) -> str:
        """Say in our words why a link failed; the server's own go to the log."""
        if link.fate.over.is_set():
            return link.fate.why
        if isinstance(problem, MCPError):
            if problem.error.code == CONNECTION_CLOSED or link.fate.was_not_sent(problem.error.message):
                return link.fate.problem or "the connection ended"
            self._log("answered with an error", problem.error.message)
            return f"error {problem.error.code}"
        self._log("answered what cannot be read", str(problem))
        return "it is not what the protocol says"

    def _log(self, event: str, words: str) -> None:
        log.warning(
            "an MCP server's words", server=self.name, it=event, words=visible(words[:_LONGEST_WORDS])
        )

    def _error(self, what: str) -> ProxiedServerError:
        return ProxiedServerError(f"the MCP server {self.name} {what}")

    def _said_not_run(self, what: str) -> SaidNotRunError:
        return SaidNotRunError(f"the MCP server {self.name} {what}: it says that it did not run the call")

    def _unknown(self, what: str) -> OutcomeUnknownError:
        return OutcomeUnknownError(f"the MCP server {self.name} {what}: nobody knows whether the call ran")


def _request(name: str, arguments: dict[str, Any]) -> types.CallToolRequest:
    return types.CallToolRequest(params=types.CallToolRequestParams(name=name, arguments=arguments))


def _after(cursor: str | None) -> types.PaginatedRequestParams | None:
    return None if cursor is None else types.PaginatedRequestParams(cursor=cursor)
