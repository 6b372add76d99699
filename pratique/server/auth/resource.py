"""The MCP endpoint as a protected resource: what it says of itself, and who comes in by key or by token.

Rules:
- What the resource says of itself is for everybody: a client reads it to learn where to get a token.
- Every refusal for want of a credential says where that is.

Source: RFC 9728, sections 3 and 5.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from pratique.identity.keys import Key
from pratique.server.auth.agents import agent, bearer
from pratique.server.auth.tokens import METADATA, Tokens, is_token
from pratique.server.door import Door, door
from pratique.server.problems import Problem

PATH = "/mcp"

router = APIRouter(include_in_schema=False)


@router.get(METADATA)
@router.get(METADATA + "/{path:path}")
async def metadata(request: Request) -> dict[str, Any]:
    """Say what this resource is, and whose tokens open it."""
    tokens = _tokens(door(request))
    # A client that knows nothing but the host asks at the root (MCP specification, authorization).
    if tokens is None or request.url.path not in {METADATA, tokens.metadata_path}:
        raise Problem(404, "no such resource", "access tokens open nothing here: come with an API key")
    return tokens.metadata


async def caller(request: Request, _: Annotated[object, Depends(bearer)] = None) -> Key:
    """Return the key that the caller shows, or the one that its token amounts to.

    Raises:
        Problem: 401 it shows neither; 403 what it shows is not enough; 429 it asks too often; 503 the issuer
            does not answer.
    """
    here = door(request)
    tokens = _tokens(here)
    if tokens is None:
        return await agent(request)
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer" or not is_token(text.strip()):
            return await agent(request)
        key = await tokens.key(text.strip(), here.ledger.clock())
    except Problem as problem:
        if problem.status == 401:  # noqa: PLR2004
            if "resource_metadata" not in problem.headers["WWW-Authenticate"]:
                problem.headers["WWW-Authenticate"] = tokens.challenge()
            else:
                here.strangers.demand(request.client.host if request.client else "")
        raise
    if (await here.policy()).tenant_of(key.agent) is None:
        raise Problem(403, "no such agent", f"the policy in force has no agent {key.agent}")
    here.rate.demand(f"key:{key.id}")
    return key


def _tokens(here: Door) -> Tokens | None:
    return here.tokens if isinstance(here.tokens, Tokens) else None


Caller = Annotated[Key, Depends(caller)]
