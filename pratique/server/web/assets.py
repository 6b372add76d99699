"""The few files that pages bring along: a sheet, three scripts of ours, and htmx as it was published.

Rules:
- Nothing is loaded from anywhere else. Each file is named by the hash of its bytes, and cached for a year.
- A browser runs a script only if its bytes have the hash that the page names (Subresource Integrity).
- Only the files named here are served: no path out of a request reaches the disk.
"""

import base64
import hashlib
from importlib.resources import files
from typing import NamedTuple

HTMX = "htmx-4.0.1.min.js"
"""`dist/htmx.min.js` of npm's htmx.org 4.0.1, under the Zero-Clause BSD licence (`htmx-LICENSE.txt`)."""

_TYPES = {
    "pratique.css": "text/css; charset=utf-8",
    "clocks.js": "text/javascript; charset=utf-8",
    "keys.js": "text/javascript; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "flag.svg": "image/svg+xml",
    HTMX: "text/javascript; charset=utf-8",
}


class Asset(NamedTuple):
    """One file: its bytes, what they are, and by what address and hash a page asks for it."""

    body: bytes
    media_type: str
    href: str
    integrity: str


def _load(name: str) -> Asset:
    body = files("pratique.server").joinpath("static", name).read_bytes()
    digest = hashlib.sha256(body)
    integrity = "sha256-" + base64.b64encode(digest.digest()).decode()
    return Asset(body, _TYPES[name], f"/static/{name}?v={digest.hexdigest()[:16]}", integrity)


ASSETS = {name: _load(name) for name in _TYPES}
