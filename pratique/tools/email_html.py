"""Turns HTML mail into the text that a reader would see, and counts what a reader would not see.

Rules:
- Hidden text is left out and its size is reported, so that neither an agent nor an approver is steered by
  what no person reads. Hidden is what says so: `hidden`, `display:none`, `visibility:hidden`, `opacity:0`,
  a font of at most one pixel, a size of nothing, a place outside of the page, by `style` or by a rule in
  `<style>`. Colours are not judged: white on white is not found.
- Comments, scripts and styles are no text. A link shows where it leads, whatever its words say.
- The tree is HTML5's, by Lexbor, whose time grows with the square of the nesting, so the number of elements
  is bounded.
"""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

LARGEST = 2 * 1024 * 1024
MOST_ELEMENTS = 20_000
MOST_RULES = 200
LARGEST_STYLE = 64 * 1024

_HIDING = re.compile(
    r"""(?ix)(?:^|[;\s{]) (?:
        display\s*:\s*none | visibility\s*:\s*(?:hidden|collapse) | mso-hide\s*:\s*all
      | opacity\s*:\s*0*\.?0*\s*(?:!|;|$)
      | font-size\s*:\s*(?:0|1px|1pt|0?\.\d+(?:px|pt|em|rem))[a-z%]*\s*(?:!|;|$)
      | (?:max-)?(?:height|width)\s*:\s*0(?:px|pt|em|%)?\s*(?:!|;|$)
      | (?:text-indent|left|top|margin-left|margin-top)\s*:\s*-\d{3,}
    )"""
)
_OPENING = re.compile(r"<[a-zA-Z]")
_SPACES = re.compile(r"\s+")
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_SILENT = frozenset(
    {"head", "script", "style", "template", "noscript", "title", "object", "iframe", "svg", "math", "select"}
)
_BLOCKS = frozenset(
    {
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "center",
        "dd",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "tr",
        "ul",
    }
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
    page = _Page(_hidden_by_style(document))
    if document.body is not None:
        page.read(document.body)
    if page.hidden:
        problems.append(
            f"the HTML hides {page.hidden:,} characters of text from its reader: they were left out"
        )
    return page.text(), problems


class _Page:
    """What was read so far: the visible pieces, and how many characters were hidden."""

    def __init__(self, hidden_nodes: frozenset[int]) -> None:
        self.hidden = 0
        self._hidden_nodes = hidden_nodes
        self._pieces: list[str] = []
        self._breaks = 0

    def read(self, root: LexborNode) -> None:
        """Walk the tree without recursion, in the order of the text."""
        stack: list[tuple[LexborNode | str | int, bool]] = [(root, False)]
        while stack:
            item, as_is = stack.pop()
            if isinstance(item, int):
                self._breaks = max(self._breaks, item)
            elif isinstance(item, str):
                self._say(item)
            elif item.is_text_node:
                words = item.text_content or ""
                self._say(words if as_is else _SPACES.sub(" ", words))
            elif item.is_element_node:
                inner = as_is or item.tag == "pre"
                stack.extend((piece, inner) for piece in reversed(list(self._open(item))))

    def text(self) -> str:
        """Return the lines, without spaces at their ends and with at most one empty line in between."""
        lines = (" ".join(line.split()) for line in "".join(self._pieces).split("\n"))
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()

    def _say(self, words: str) -> None:
        """Add words, after the line breaks that are due; space alone does not use those up."""
        if words.strip():
            self._pieces.append("\n" * self._breaks)
            self._breaks = 0
        self._pieces.append(words)

    def _open(self, node: LexborNode) -> Iterator[LexborNode | str | int]:
        """Yield what an element consists of, in order; a number is that many line breaks."""
        tag = node.tag or ""
        if tag in _SILENT:
            return
        if _says_hidden(node) or node.mem_id in self._hidden_nodes:
            self.hidden += len("".join((node.text(deep=True) or "").split()))
            return
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


def _says_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    return "hidden" in attributes or bool(_HIDING.search(attributes.get("style") or ""))


def _hidden_by_style(document: LexborHTMLParser) -> frozenset[int]:
    """Return the elements that a rule in `<style>` hides on every screen."""
    sheet = "".join(node.text(deep=True) or "" for node in document.css("style"))[:LARGEST_STYLE]
    rules = [
        (selector, body) for selector, body in _RULE.findall(_without_at_rules(sheet)) if _HIDING.search(body)
    ]
    found: set[int] = set()
    for selector, _ in rules[:MOST_RULES]:
        try:
            found.update(node.mem_id for node in document.css(selector.strip()))
        except (SelectolaxError, ValueError):
            continue  # a selector that Lexbor does not know hides nothing that we could find
    return frozenset(found)


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


def _bare(html: str) -> str:
    return " ".join(re.sub(r"<[^<>]*>", " ", html).split())
