"""Which elements of an HTML mail their own styles hide from a reader.

Rules:
- Hidden is what says so, in `style` or in a rule of `<style>`: `hidden`, `display:none`, `visibility:hidden`,
  `opacity:0`, a place off the page, a box of no size that cuts off what is in it.
- A font of no size hides text, until an element within sets a real size again: mail builders do that in
  every column, so it is not a mark of an attack.
- What hides on some screens only (`@media`, Outlook's `mso-`) is visible. Colours are not judged.
- A style that we do not understand hides nothing: text is rather shown too much than lost.
"""

import re
from enum import Enum
from typing import NamedTuple

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

MOST_RULES = 200
LARGEST_STYLE = 64 * 1024
SMALLEST_FONT = 1.0
SMALLEST_REM = 0.1

_GONE = re.compile(
    r"""(?ix)(?:^|[;\s{]) (?:
        display\s*:\s*none | visibility\s*:\s*(?:hidden|collapse)
      | opacity\s*:\s*0*\.?0*\s*(?:!|;|$)
      | (?:text-indent|left|top|margin-left|margin-top)\s*:\s*-\d{3,}
    )"""
)
_NO_SIZE = re.compile(r"(?i)(?:^|[;\s{])(?:max-)?(?:height|width)\s*:\s*0(?:px|pt|em|%)?\s*(?:!|;|$)")
_CUTS_OFF = re.compile(r"(?i)(?:^|[;\s{])overflow\s*:\s*hidden")
_FONT = re.compile(r"(?i)(?:^|[;\s{])font(?:-size)?\s*:([^;}]*)")
_SIZE = re.compile(r"(?i)(?:^|\s)(\d*\.?\d+)(px|pt|rem|mm|cm|in|pc|vw|vh|em|ex|ch|%)?(?=[\s/!]|$)")
_NAMED_SIZE = re.compile(r"(?i)\b(?:small|medium|large|initial)\b")
_RELATIVE = frozenset({"em", "ex", "ch", "%"})
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")


class Font(Enum):
    """What a style does to the size of text: nothing, makes it vanish, or gives it a real size."""

    INHERITED = "inherited"
    NONE = "none"
    REAL = "real"


class Look(NamedTuple):
    """What a style does to an element."""

    gone: bool
    font: Font


class Sheet:
    """The rules of a document's `<style>` elements that hide something, or show it again."""

    def __init__(self, document: LexborHTMLParser) -> None:
        self._gone: set[int] = set()
        self._fonts: dict[int, Font] = {}
        text = "".join(node.text(deep=True) or "" for node in document.css("style"))[:LARGEST_STYLE]
        rules = [(selector, look_of(body)) for selector, body in _RULE.findall(_without_at_rules(text))]
        telling = [rule for rule in rules if rule[1] != Look(gone=False, font=Font.INHERITED)]
        for selector, look in telling[:MOST_RULES]:
            self._apply(document, selector.strip(), look)

    def look(self, node: LexborNode) -> Look:
        """Return what sheet and `style` together do to an element; its own style speaks last."""
        attributes = node.attributes
        own = look_of(attributes.get("style") or "")
        gone = own.gone or "hidden" in attributes or node.mem_id in self._gone
        font = self._fonts.get(node.mem_id, Font.INHERITED) if own.font is Font.INHERITED else own.font
        return Look(gone, font)

    def _apply(self, document: LexborHTMLParser, selector: str, look: Look) -> None:
        try:
            nodes = document.css(selector)
        except (SelectolaxError, ValueError):
            return  # Lexbor does not know the selector
        for node in nodes:
            if look.gone:
                self._gone.add(node.mem_id)
            if look.font is not Font.INHERITED:
                self._fonts[node.mem_id] = look.font


def look_of(style: str) -> Look:
    """Return what these declarations do to an element."""
    cut_off = bool(_NO_SIZE.search(style) and _CUTS_OFF.search(style))
    return Look(cut_off or bool(_GONE.search(style)), _font(style))


def _font(style: str) -> Font:
    declared = _FONT.findall(style)
    if not declared:
        return Font.INHERITED
    if _NAMED_SIZE.search(declared[-1]):
        return Font.REAL
    for number, unit in _SIZE.findall(declared[-1]):
        if unit or float(number) == 0:  # a bare number in `font` is a weight
            return _font_of(float(number), unit.lower())
    return Font.INHERITED


def _font_of(size: float, unit: str) -> Font:
    if unit in _RELATIVE and size > 0:
        return Font.INHERITED  # a part of nothing is nothing
    return Font.NONE if size <= (SMALLEST_REM if unit == "rem" else SMALLEST_FONT) else Font.REAL


def _without_at_rules(sheet: str) -> str:
    """Drop comments and blocks such as `@media`, which hide on some screens only."""
    sheet = re.sub(r"/\*.*?(?:\*/|$)", "", sheet, flags=re.DOTALL)
    kept, depth, skipping = [], 0, False
    for piece in re.split(r"([{}@;])", sheet):
        skipping = skipping or piece == "@"
        depth += {"{": 1, "}": -1}.get(piece, 0)
        if not skipping:
            kept.append(piece)
        elif depth <= 0 and piece in {"}", ";"}:
            skipping = False
    return "".join(kept)
