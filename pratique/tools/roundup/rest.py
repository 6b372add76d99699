"""Roundup's REST interface, spoken from a worker thread through a call's own HTTP client.

Rules (roundup-tracker.org/docs/rest.html):
- What comes back is bounded while it comes, and validated. In errors there are codes and our words, never the
  tracker's text.
- A write that the tracker did not answer may have happened, and says so.
- A change names the version that it is a change of (`If-Match`, RFC 9110, 13.1.1); when there is a newer one,
  the tracker refuses it.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import anyio.from_thread
import httpx2
import orjson
from pydantic import BaseModel, ValidationError

from pratique.errors import OutcomeUnknownError, ToolError

LARGEST = 8 * 1024 * 1024
STEP = 15.0

Params = Sequence[tuple[str, str]]
_Model = TypeVar("_Model", bound=BaseModel)

# Roundup refuses calls without these, so that no page in somebody's browser can make them.
_HEADERS = {"X-Requested-With": "rest", "Accept": "application/json"}
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol, httpx2.PoolTimeout)


class ChangedMeanwhileError(ToolError):
    """Somebody else changed the item since it was read. Read it again, then decide again."""


class MissingError(ToolError):
    """The tracker has no such item, or does not show it to this account."""


class Rest:
    """The interface of one tracker, for one call.

    Args:
        http: the call's client.
        url: where the tracker is, with its slash at the end.
        login: name and password.
    """

    def __init__(self, http: httpx2.AsyncClient, url: str, login: tuple[str, str]) -> None:
        self._http, self._url, self._login = http, f"{url}rest/data/", login
        self._origin = str(httpx2.URL(url).copy_with(path="/", query=None)).rstrip("/")

    def get(self, path: str, params: Params, model: type[_Model]) -> _Model:
        """Return what `data` of the answer says.

        Raises:
            ToolError: it cannot be had.
        """
        return _understood(self._send("GET", path, params=list(params)), model)

    def content(self, path: str) -> bytes:
        """Return a file's bytes.

        Raises:
            ToolError: it cannot be had.
        """
        return self._send("GET", path, headers={"Accept": "*/*"})

    def post(self, path: str, item: dict[str, Any], model: type[_Model]) -> _Model:
        """Make an item.

        Raises:
            ToolError: it was not made.
            OutcomeUnknownError: nobody knows.
        """
        return _understood(self._send("POST", path, json=item), model)

    def patch(self, path: str, changes: dict[str, Any], version: str) -> None:
        """Change an item, if it still is what it was.

        Raises:
            ChangedMeanwhileError: it is not.
            ToolError: it was not changed.
            OutcomeUnknownError: nobody knows.
        """
        self._send("PATCH", path, json={**changes, "@op": "replace"}, headers={"If-Match": version})

    def _send(self, method: str, path: str, **request: Any) -> bytes:
        changes = method != "GET"
        try:
            status, body = anyio.from_thread.run(lambda: self._exchange(method, path, **request))
        except _NOT_SENT:
            raise ToolError("the ticket tracker cannot be reached") from None
        except httpx2.HTTPError as problem:
            said = "did not go on in time" if isinstance(problem, httpx2.TimeoutException) else "broke off"
            if changes:
                raise OutcomeUnknownError(f"the ticket tracker {said}: look first") from None
            raise ToolError(f"the ticket tracker {said}") from None
        _demand_success(status, changes=changes)
        return body

    async def _exchange(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **request: Any
    ) -> tuple[int, bytes]:
        async with self._http.stream(
            method,
            self._url + path,
            auth=self._login,
            headers={**_HEADERS, **({} if method == "GET" else {"Origin": self._origin}), **(headers or {})},
            timeout=STEP,
            **request,
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > LARGEST:
                    raise ToolError(f"the ticket tracker's answer is larger than {LARGEST:,} bytes")
            return response.status_code, bytes(body)


def _demand_success(status: int, *, changes: bool) -> None:
    if 200 <= status < 300:  # noqa: PLR2004  # RFC 9110, 15.3
        return
    if status == httpx2.codes.PRECONDITION_FAILED:
        raise ChangedMeanwhileError("somebody changed the ticket at the same moment: read it again")
    if status == httpx2.codes.NOT_FOUND:
        raise MissingError("the ticket tracker has no such item")
    if status in {httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN}:
        raise ToolError(f"the ticket tracker does not let this account do that ({status})")
    if httpx2.codes.is_redirect(status):
        raise ToolError(f"the ticket tracker sends elsewhere ({status}), which is not followed")
    if changes and httpx2.codes.is_server_error(status):
        raise OutcomeUnknownError(f"the ticket tracker failed ({status}): look first")
    raise ToolError(f"the ticket tracker refused ({status})")


def _understood(body: bytes, model: type[_Model]) -> _Model:
    try:
        return model.model_validate(orjson.loads(body)["data"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValidationError):
        raise ToolError("the ticket tracker's answer is not Roundup's") from None
