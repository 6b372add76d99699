"""How a page is made: one Jinja environment, in which everything is escaped, and one set of headers.

Rules:
- Autoescape is on for every template; only what the filters below build is markup.
- A name that a template does not know is an error, never an empty place on the page.
- No inline script, no inline style, nothing from elsewhere: the policy below has no exception.
- Pages hold what agents do, so no cache keeps them.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pratique.appearance import visible
from pratique.server.web.assets import ASSETS, HTMX

SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": SECURITY_POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

HTMX_CONFIG = orjson.dumps(
    {"includeIndicatorCSS": False, "history": "reload", "mode": "same-origin", "extensions": "none"}
).decode()
"""htmx with what a strict policy forbids switched off: its style sheet, and extensions."""

FOLD_AT = 1_200
"""Characters of a text that are shown at once; the rest is folded beneath them."""

FOLD_LINES = 24
"""Lines of a text that are shown at once."""

_UNSEEN = re.compile(r"⟨U\+[0-9A-F]{4,6}⟩")

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class Folded(NamedTuple):
    """A text in two parts: what is shown at once, and what is folded. Together they are the text."""

    head: str
    rest: str

    @property
    def more(self) -> str:
        """How much is folded, in words."""
        lines = self.rest.count("\n")
        return f"{len(self.rest):,} more characters" + (f", {lines:,} more lines" if lines else "")


def folded(text: str) -> Folded:
    """Return the text in two parts, divided where a line ends if one ends near."""
    lines = text.split("\n", FOLD_LINES)
    cut = len(text) - len(lines[-1]) if len(lines) > FOLD_LINES else len(text)
    if cut > FOLD_AT:
        near = text.rfind("\n", FOLD_AT // 2, FOLD_AT)
        cut = near + 1 if near >= 0 else FOLD_AT
    if len(text) - cut < FOLD_AT // 10:  # not worth a fold
        return Folded(text, "")
    # Not between the parts of a written-out character: each stays one mark.
    opened = text.rfind("⟨", max(0, cut - 10), cut)
    if opened >= 0 and text.find("⟩", opened, cut) < 0:
        cut = opened
    return Folded(text[:cut], text[cut:])


def shown(text: str) -> Markup:
    """Return a text that went through `visible`, escaped, each written-out character marked as such."""
    return Markup("").join(_parts(text))  # of parts that are each escaped


def _parts(text: str) -> Iterator[Markup]:
    end = 0
    for found in _UNSEEN.finditer(text):
        yield escape(text[end : found.start()])
        yield Markup('<span class="unseen">{}</span>').format(found[0])
        end = found.end()
    yield escape(text[end:])


def moment(microseconds: int) -> str:
    """Return a moment as people read it, UTC."""
    return f"{datetime.fromtimestamp(microseconds / 1e6, tz=UTC):%Y-%m-%d %H:%M:%S} UTC"


def iso(microseconds: int) -> str:
    """Return a moment as `<time datetime>` wants it."""
    return f"{datetime.fromtimestamp(microseconds / 1e6, tz=UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def span(microseconds: int) -> str:
    """Return a length of time in its two largest units: `3 h 57 min`."""
    seconds = max(0, microseconds) // 1_000_000
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min" + (f" {seconds % _MINUTE} s" if seconds < 5 * _MINUTE else "")
    if seconds < _DAY:
        return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"
    return f"{seconds // _DAY} d {seconds % _DAY // _HOUR} h"


def plain(value: Any) -> str:
    """Return a JSON value as text that a person can read, hidden characters written out."""
    if isinstance(value, str):
        return visible(value)
    return visible(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode())


def count(number: int, one: str, many: str = "") -> str:
    """Return `1 call`, `2 calls`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("pratique.server"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        shown=shown,
        visible=visible,
        folded=folded,
        moment=moment,
        iso=iso,
        span=span,
        plain=plain,
        count=count,
    )
    made.globals.update(assets=ASSETS, htmx=ASSETS[HTMX], htmx_config=HTMX_CONFIG)
    return made


ENVIRONMENT = _environment()


def render(template: str, context: Mapping[str, Any], *, status: int = 200) -> HTMLResponse:
    """Return a page."""
    return HTMLResponse(ENVIRONMENT.get_template(template).render(context), status, headers=HEADERS)
