r"""A tool's result, leaf by leaf, with who may have written each one.

Declared is a mapping of dotted paths to words:

    {"messages[].id": "meta:message", "messages[].from": "identity", "messages[].body": "untrusted",
     "prices.*": "meta", "prices.#key": "untrusted", "review": "split(\n)meta,untrusted", "pin": "meta!"}

Rules:
- What is not declared is untrusted; a declared path speaks for what is below it; `*` speaks for every sibling
  that is not named; `#key` for the keys of an open map.
- A key that the declaration does not name is data: who may have written it is a question too.
- A word ending in `!` marks a confidential value.
- `split(separator)a,b` cuts a text at the first separators: what comes before the first is labelled `a`, the
  rest `b`. Pieces beyond the labels stay with the last; a text with too few pieces is untrusted as a whole.
- Paths are followed, never compared as text: a key that imitates a path (`a.b`) is one key.
"""

import re
from collections.abc import Container, Iterator, Mapping
from typing import Any, NamedTuple

from pratique.errors import ToolDeclarationError
from pratique.model import FieldLabel

_CUT = re.compile(r"[.\[#]")
_PART = re.compile(r"\[\]|[^.\[\]]+")
_SPLIT = re.compile(r"split\((.+)\)([a-z:,_!-]+)", re.DOTALL)
_PLAIN_KEY = re.compile(r"[\w-]{1,64}")
_MOST_KEY = 80
_ITEM, _REST, _KEY = "[]", "*", "#key"
_VOUCHED = (FieldLabel.META, FieldLabel.AUTHORITY)


class Word(NamedTuple):
    """One declared label: who writes the field, its record type, and whether it may leave."""

    label: FieldLabel
    type: str = ""
    confidential: bool = False


UNDECLARED = Word(FieldLabel.UNTRUSTED)


class Split(NamedTuple):
    """A field in which a system's text and a stranger's follow each other."""

    separator: str
    words: tuple[Word, ...]


class Leaf(NamedTuple):
    """One value of a result.

    `path` is generic (`messages[].body`); `places` are the numbers that its `[]` stand for. `record` counts
    the records of this result from 0; -1 is the result itself.
    """

    path: str
    places: tuple[int, ...]
    value: Any
    word: Word
    record: int


class _Node:
    """One place in the declared shape."""

    __slots__ = ("below", "rule")

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.rule: Word | Split | None = None


class Shape:
    """A compiled declaration of a result's fields.

    `foreign` says whether anything in such a result may come from outside.

    Args:
        fields: dotted path → word.

    Raises:
        ToolDeclarationError: a word is none of `FieldLabel`'s, or a split has no separator or labels.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._root = _Node()
        for path, word in fields.items():
            node = self._root
            for part in parts(path):
                node = node.below.setdefault(part, _Node())
            node.rule = read_word(path, word)
        rest = self._root.below.get(_REST)
        words = [word for text in fields.items() for word in _words(read_word(*text))]
        undeclared = self._root.rule is None and (rest is None or rest.rule is None)
        self.foreign = undeclared or any(word.label.foreign for word in words)
        self._rule = self._root.rule or (rest.rule if rest else None) or UNDECLARED

    def leaves(self, value: Any) -> Iterator[Leaf]:
        """Yield every leaf of a JSON value in its order, without recursion: nesting costs only memory."""
        records = -1
        todo: list[tuple[Any, str, tuple[int, ...], _Node | None, Word | Split, int]]
        todo = [(value, "", (), self._root, self._rule, -1)]
        while todo:
            value, path, places, node, rule, record = todo.pop()
            if isinstance(value, dict):
                below = []
                for key, item in value.items():
                    child, child_rule, written = _member(node, rule, str(key))
                    key_path = join_path(path, str(key))
                    if written is not None:
                        yield Leaf(key_path + "#key", places, str(key), written, record)
                    below.append((item, key_path, places, child, child_rule, record))
                todo.extend(reversed(below))
            elif isinstance(value, list | tuple):
                child, child_rule = _below(node, rule, _ITEM)
                numbered = []
                for number, item in enumerate(value):
                    if record < 0 and isinstance(item, dict):
                        records += 1
                        numbered.append((item, path + _ITEM, (*places, number), child, child_rule, records))
                    else:
                        numbered.append((item, path + _ITEM, (*places, number), child, child_rule, record))
                todo.extend(reversed(numbered))
            elif value is not None:
                yield from _pieces(path, places, value, rule, record)


def parts(path: str) -> tuple[str, ...]:
    """Return the steps of a declared path: `messages[].body` is `messages`, `[]`, `body`."""
    return tuple(_PART.findall(path))


def read_word(path: str, text: str) -> Word | Split:
    """Return what a declared word means.

    Raises:
        ToolDeclarationError: it means nothing; the message names the path.
    """
    match = _SPLIT.fullmatch(text)
    if match:
        return Split(match.group(1), tuple(_word(path, part) for part in match.group(2).split(",")))
    return _word(path, text)


def _words(rule: Word | Split) -> tuple[Word, ...]:
    """Return the labels that a rule gives."""
    return rule.words if isinstance(rule, Split) else (rule,)


def full_path(path: str, places: tuple[int, ...]) -> str:
    """Return a path with its list places filled in: `messages[0].body`."""
    parts = path.split(_ITEM)
    filled = [f"{part}[{place}]" for part, place in zip(parts, places, strict=False)]
    return "".join(filled) + _ITEM.join(parts[len(places) :])


def covering(place: str, paths: Container[str]) -> str | None:
    """Return which of some full paths a place is at or below; None if it is below none of them."""
    if "" in paths:
        return ""
    above = (place[: cut.start()] for cut in _CUT.finditer(place))
    return next((path for path in (*above, place) if path in paths), None)


def lifted(leaf: Leaf, place: str) -> Leaf:
    """Return a leaf as one that stands at a place above it: names below that place may be part of a value.

    Args:
        leaf: the leaf.
        place: the full path of what it stands in.
    """
    above = (leaf.path[: cut.start()] for cut in _CUT.finditer(leaf.path))
    for path in ("", *above):
        places = leaf.places[: path.count(_ITEM)]
        if full_path(path, places) == place:
            return leaf._replace(path=path, places=places)
    return leaf


def _word(path: str, text: str) -> Word:
    """Read one label with its type and mark."""
    name, _, kind = text.removesuffix("!").partition(":")
    try:
        return Word(FieldLabel(name), kind, text.endswith("!"))
    except ValueError:
        raise ToolDeclarationError(
            f"sources: {path!r} has the label {text!r}; known are " + ", ".join(FieldLabel)
        ) from None


def _below(node: "_Node | None", rule: Word | Split, part: str) -> tuple["_Node | None", Word | Split]:
    """Return the declared place below and the rule in force there."""
    if node is None:
        return None, rule
    below = node.below.get(part) or node.below.get(_REST)
    return below, (below.rule if below else None) or rule


def _member(
    node: "_Node | None", rule: Word | Split, key: str
) -> tuple["_Node | None", Word | Split, Word | None]:
    """Return the same for an object's key, and who wrote the key if it is data.

    A key spelled like a mark of the declaration (`[]`, `*`, `#key`) is never taken for it.
    """
    marks = key in {_ITEM, _REST, _KEY}
    child, inherited = _below(node, rule, _REST if marks else key)
    named = not marks and node is not None and key in node.below
    return child, inherited, None if named else _key_word(node, inherited)


def _key_word(node: "_Node | None", inherited: Word | Split) -> Word:
    """Return who may have written a key that the declaration does not name."""
    declared = node.below.get(_KEY) if node is not None else None
    if declared is not None and isinstance(declared.rule, Word):
        return declared.rule
    vouched = isinstance(inherited, Word) and inherited.label in _VOUCHED
    return Word(inherited.label) if vouched and isinstance(inherited, Word) else UNDECLARED


def _pieces(
    path: str, places: tuple[int, ...], value: Any, rule: Word | Split, record: int
) -> Iterator[Leaf]:
    """Yield a leaf, or its pieces where the declaration splits it."""
    if isinstance(rule, Word):
        yield Leaf(path, places, value, rule, record)
        return
    pieces = str(value).split(rule.separator, len(rule.words) - 1)
    if len(pieces) < len(rule.words):
        yield Leaf(path, places, value, UNDECLARED, record)
        return
    for piece, word in zip(pieces, rule.words, strict=True):
        yield Leaf(path, places, piece, word, record)


def join_path(path: str, key: str) -> str:
    """Append a key to a path; one that could be mistaken for a path is quoted, a long one is cut."""
    if not _PLAIN_KEY.fullmatch(key):
        cut = key[:_MOST_KEY].replace("\\", "\\\\").replace('"', '\\"').replace("[]", "[\u200b]")
        return f'{path}["{cut}"]'
    return f"{path}.{key}" if path else key
