"""The agent behind a request: which key it shows, and so which agent it is.

Rules:
- The agent is the key's. No payload names it.
- The key is looked up at every request. One that was revoked, has expired, or belongs to an agent that the
  policy no longer names, opens nothing.
"""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from pratique.identity.keys import Key, opened_by
from pratique.server.door import door
from pratique.server.problems import Problem

bearer = HTTPBearer(auto_error=False, scheme_name="API key", description="`pratique keys issue`")


async def agent(request: Request, _: Annotated[object, Depends(bearer)] = None) -> Key:
    """Return the key that the caller shows.

    Raises:
        Problem: 401 it shows none that opens the door; 429 it asks too often.
    """
    here = door(request)
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    key, epoch = None, 0
    if scheme.lower() == "bearer":
        key, epoch = opened_by(here.glance, text.strip(), here.ledger.clock())
    if key is None or (await here.policy(epoch)).tenant_of(key.agent) is None:
        here.strangers.demand(request.client.host if request.client else "")
        raise Problem(401, "no API key that opens this door", "Authorization: Bearer pratique_…")
    here.rate.demand(f"key:{key.id}")
    return key


Agent = Annotated[Key, Depends(agent)]
