"""Turns HTML mail into the text that a reader would see, and counts what a reader would not see.

Rules:
- Hidden text (`email_hiding`) is left out and its size is reported, so that neither an agent nor an approver
  is steered by what no person reads.
- Comments, scripts and styles are no text. A link shows where it leads, whatever its words say.
- The tree is HTML5's, by Lexbor, whose time grows with the square of the nesting, so the number of elements
  is bounded.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from selectolax.lexbor import LexborHTMLParser, LexborNode

from pratique.tools.email_hiding import Font, Sheet

LARGEST = 2 * 1024 * 1024
MOST_ELEMENTS = 20_000

_OPENING = re.compile(r"<[a-zA-Z]")
_SPACES = re.compile(r"\s+")
_SILENT = frozenset(
    {"head", "script", "style", "template", "noscript", "title", "object", "iframe", "svg", "math", "select"}
)
_BLOCKS = frozenset(
    [f"h{level}" for level in range(1, 7)]
    + ["address", "article", "aside", "blockquote", "body", "center", "dd", "div", "dl", "dt", "fieldset"]
    + ["figcaption", "figure", "footer", "form", "header", "hr", "li", "main", "nav", "ol", "p", "pre"]
    + ["section", "table", "tbody", "tfoot", "thead", "tr", "ul"]
)
_APART = frozenset({"p", "table", "blockquote", "ul", "ol", "h1", "h2", "h3", "pre"})
_INSTEAD = {"br": "\n", "li": "- ", "td": " ", "th": " "}


def visible_text(html: str) -> tuple[str, list[str]]:
    """Return what a reader sees, and the problems: hidden text, cut or too deep."""
    problems = []
    if len(html) > LARGEST:
        problems.append(f"the HTML is cut at {LARGEST:,} of {len(html):,} characters")
        html = html[:LARGEST]
    if len(_OPENING.findall(html)) > MOST_ELEMENTS:
        return _bare(html), [
            *problems,
            f"more than {MOST_ELEMENTS:,} HTML elements: hidden text is shown as well",
        ]
    document = LexborHTMLParser(html)
    page = _Page(Sheet(document))
    if document.body is not None:
        page.read(document.body)
    if page.hidden:
        problems.append(
            f"the HTML hides {page.hidden:,} characters of text from its reader: they were left out"
        )
    return page.text(), problems


class _Place(NamedTuple):
    """What an element's text inherits: whether spaces count, and whether its font has a size."""

    as_is: bool = False
    vanishing: bool = False


class _Page:
    """What was read so far: the visible pieces, and how many characters were hidden."""

    def __init__(self, sheet: Sheet) -> None:
        self.hidden = 0
        self._sheet = sheet
        self._pieces: list[str] = []
        self._breaks = 0

    def read(self, root: LexborNode) -> None:
        """Walk the tree without recursion, in the order of the text."""
        stack: list[tuple[LexborNode | str | int, _Place]] = [(root, _Place())]
        while stack:
            item, place = stack.pop()
            if isinstance(item, int):
                self._breaks = max(self._breaks, item)
            elif isinstance(item, str):
                self._say(item, place)
            elif item.is_text_node:
                words = item.text_content or ""
                self._say(words if place.as_is else _SPACES.sub(" ", words), place)
            elif item.is_element_node and item.tag not in _SILENT:
                self._enter(item, place, stack)

    def text(self) -> str:
        """Return the lines, without spaces at their ends and with at most one empty line in between."""
        lines = (" ".join(line.split()) for line in "".join(self._pieces).split("\n"))
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()

    def _say(self, words: str, place: _Place) -> None:
        """Add words, after the line breaks that are due; space alone does not use those up."""
        if place.vanishing:
            self.hidden += len("".join(words.split()))
            return
        if words.strip():
            self._pieces.append("\n" * self._breaks)
            self._breaks = 0
        self._pieces.append(words)

    def _enter(
        self, node: LexborNode, place: _Place, stack: list[tuple[LexborNode | str | int, _Place]]
    ) -> None:
        """Put what an element consists of on the stack, or count it as hidden."""
        look = self._sheet.look(node)
        if look.gone:
            self.hidden += len("".join((node.text(deep=True) or "").split()))
            return
        vanishing = place.vanishing if look.font is Font.INHERITED else look.font is Font.NONE
        inner = _Place(place.as_is or node.tag == "pre", vanishing)
        stack.extend((piece, inner) for piece in reversed(list(_contents(node))))


def _contents(node: LexborNode) -> Iterator[LexborNode | str | int]:
    """Yield what an element consists of, in order; a number is that many line breaks."""
    tag = node.tag or ""
    space = 2 if tag in _APART else 1 if tag in _BLOCKS else 0
    yield space
    yield _INSTEAD.get(tag, "")
    yield from _children(node)
    yield _attribute(node, tag)
    yield space


def _attribute(node: LexborNode, tag: str) -> str:
    """Return what an element shows of its attributes: where a link leads, what a picture is."""
    if tag == "img":
        alternative = (node.attributes.get("alt") or "").strip()
        return f"[{alternative}]" if alternative else ""
    if tag == "a":
        target = " ".join((node.attributes.get("href") or "").split())
        words = (node.text(deep=True) or "").strip()
        return f" ({target})" if target and target.removeprefix("mailto:") != words else ""
    return ""


def _children(node: LexborNode) -> Iterator[LexborNode]:
    child = node.child
    while child is not None:
        yield child
        child = child.next


def _bare(html: str) -> str:
    return " ".join(re.sub(r"<[^<>]*>", " ", html).split())
