"""A webhook, signed as Standard Webhooks says (https://www.standardwebhooks.com).

Rules:
- `webhook-signature` is HMAC-SHA-256 over `id.timestamp.body`, keyed by the secret; a receiver recomputes it,
  refuses what is older than a few minutes, and drops an id that it has seen.
- Taken is 2xx. 410 is a receiver that is gone: given up. All else is tried again. No redirect is followed.
- The payload names groups, never persons.
"""

import base64
import binascii
import hmac
import time
from collections.abc import Callable

import httpx2
import orjson
from pydantic import SecretStr

from pratique.approvals.channels import NotSentError
from pratique.approvals.notices import Due
from pratique.errors import SettingsError

SECONDS = 10.0
PREFIX = "whsec_"
SHORTEST_KEY = 24
LARGEST_ANSWER = 64 * 1024


def key_of(name: str, secret: SecretStr) -> bytes:
    """Return the key that a secret holds: `whsec_` and base64, 24 to 64 bytes of it.

    Raises:
        SettingsError: it holds none.
    """
    text = secret.get_secret_value().removeprefix(PREFIX)
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < SHORTEST_KEY:
        raise SettingsError(
            f"notify.webhooks.{name}.secret: not `{PREFIX}` and the base64 of at least {SHORTEST_KEY} bytes"
        )
    return key


def signature(key: bytes, identity: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature`."""
    signed = b".".join((identity.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


class Webhook:
    """One address that is told.

    Args:
        name: as the settings name it.
        url: where to.
        key: what to sign with.
        events: which notices.
        clock: the time in seconds, for the signature.
    """

    wants_people = False

    def __init__(
        self,
        name: str,
        url: str,
        key: bytes,
        events: tuple[str, ...],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name, self.events = f"webhook:{name}", events
        self._url, self._key, self._clock = url, key, clock

    async def send(self, due: Due, people: tuple[str, ...]) -> None:
        """Post one notice; see `Channel.send`."""
        del people
        body = orjson.dumps(payload(due), option=orjson.OPT_SORT_KEYS)
        timestamp = int(self._clock())
        headers = {
            "content-type": "application/json",
            "user-agent": "pratique",
            "webhook-id": due.notice.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._key, due.notice.id, timestamp, body),
        }
        try:
            async with (
                httpx2.AsyncClient(timeout=SECONDS, follow_redirects=False, trust_env=False) as client,
                client.stream("POST", self._url, content=body, headers=headers) as answer,
            ):
                status = answer.status_code
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as problem:
            raise NotSentError(type(problem).__name__, channel_is_down=True) from problem
        if not httpx2.codes.is_success(status):
            raise NotSentError(f"HTTP {status}", for_good=status == httpx2.codes.GONE)


def payload(due: Due) -> dict[str, object]:
    """Return what a notice says to programs."""
    notice = due.notice
    return {
        "type": f"approval.{notice.event}",
        "timestamp": notice.at_us // 1_000_000,
        "data": {
            "ticket": notice.ticket,
            "tool": notice.tool,
            "tier": notice.tier,
            "agent": notice.agent,
            "state": notice.state,
            "groups": list(notice.groups),
            "link": notice.link,
            "text": notice.title,
        },
    }
