"""The web tools: `http.get` and `http.post`, for hosts that the host application declares.

Rules:
- There is no tool without hosts: `web_tools` takes them, and nothing else is reachable
  (`pratique.tools.hosts`).
- `http.get` is egress: the URL leaves the house. `http.post` is a write.
- Everything that a server says is untrusted, the address and the type of the page included; only the numbers
  are ours.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field

from pratique.errors import ToolDeclarationError, ToolError
from pratique.model import Confidentiality
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool
from pratique.tools.web_fetch import LONGEST_TEXT, LONGEST_URL, Exchange, exchange

Url = Annotated[str, Field(min_length=1, max_length=LONGEST_URL)]

_ANSWER = {
    "status": "meta",
    "characters": "meta",
    "truncated": "meta",
    "bytes": "meta",
    **dict.fromkeys(
        ("url", "location", "content_type", "text", "redirects", "problems"),
        "untrusted",
    ),
}
_RESULT_LIMIT = 6 * LONGEST_TEXT + 256 * 1024  # a control character takes six bytes of JSON
_GRACE = 5.0


def web_tools(
    hosts: Iterable[str] = (),
    private: Iterable[str] = (),
    *,
    confidentiality: Confidentiality
    | Literal["public", "internal", "confidential", "restricted"] = "internal",
    seconds: float = 25.0,
) -> list[Tool]:
    """Return `http.get` and `http.post` for some hosts.

        open_runtime(tools=web_tools(["api.example.com"], private=["wiki.internal:8080"]))

    Args:
        hosts: `host` or `host:port`; reachable at public addresses only.
        private: more of them, which may be in the own network or on this machine.
        confidentiality: the class of what they say.
        seconds: how long one exchange may take, redirects included.

    Raises:
        ToolDeclarationError: there is no host, or one has not that form.
    """
    public, own = tuple(hosts), tuple(private)
    if not public + own:
        raise ToolDeclarationError("web_tools: no host is declared")
    reach: dict[str, Any] = {
        "hosts": public,
        "private": own,
        "sources": _ANSWER,
        "confidentiality": confidentiality,
        "timeout": seconds + _GRACE,
        "result_limit": _RESULT_LIMIT,
    }
    return [_get(reach, seconds), _post(reach, seconds)]


def _get(reach: dict[str, Any], seconds: float) -> Tool:
    @tool("http.get", tier="egress", sinks={"url": "dest"}, **reach)
    async def get(ctx: ToolContext, url: Url, show: Literal["text", "source"] = "text") -> dict[str, Any]:
        """Fetch a page and return its text, as a reader sees it, or as `source`."""
        return await exchange(ctx, Exchange("GET", url, {}, seconds, source=show == "source"))

    return get


def _post(reach: dict[str, Any], seconds: float) -> Tool:
    sinks = {"url": "dest", "json": "content", "form": "content", "text": "content"}

    @tool("http.post", tier="write", sinks=sinks, **reach)
    async def post(
        ctx: ToolContext,
        url: Url,
        json: dict[str, Any] | list[Any] | None = None,
        form: dict[str, str] | None = None,
        text: str | None = None,
    ) -> dict[str, Any]:
        """Post one of `json`, `form` and `text`, and return the answer, even if it only points elsewhere."""
        return await exchange(ctx, Exchange("POST", url, _body(json, form, text), seconds, source=False))

    return post


def _body(json: Any, form: dict[str, str] | None, text: str | None) -> dict[str, Any]:
    """Return the client's arguments for the one body that was given."""
    if sum(part is not None for part in (json, form, text)) != 1:
        raise ToolError("give exactly one of json, form and text")
    if json is not None:
        return {"json": json}
    if form is not None:
        return {"data": form, "headers": {"content-type": "application/x-www-form-urlencoded"}}
    return {"content": text or "", "headers": {"content-type": "text/plain; charset=utf-8"}}
