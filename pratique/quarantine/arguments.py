"""A call's arguments, leaf by leaf, with what each one decides.

Rules:
- The class that is declared for the longest path covering a leaf speaks for it; what is not declared is what
  `*` says, else content.
- A reference (`{"$ref": …}`) is one leaf: what it stands for came from outside.
- A name that the tool's own schema does not have was made up by the agent: a leaf of its object's class, like
  any value. Where the schema is not known, the outermost names count as the tool's.
- A name with a dot or bracket in it is one name: it is not taken for a declared path.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from pratique.errors import ToolDeclarationError
from pratique.model import ArgumentClass
from pratique.words import ANY, OF_NAME

REFERENCE = "$ref"

_PATH = re.compile(r"[.\[\]]")
_NO_PATH = "\0"


class Argument(NamedTuple):
    """One leaf of the arguments: its path (`recipients[0]`), value, class, and the record type it selects."""

    path: str
    value: Any
    wanted: ArgumentClass
    record_type: str


def leaves(
    arguments: Mapping[str, Any], classes: Mapping[str, str], names: Collection[str] | None = None
) -> Iterator[Argument]:
    """Yield every leaf of the arguments in order, without recursion.

    Args:
        arguments: name → JSON value.
        classes: generic path (`recipients[]`, or just `recipients`) → class word, `selector:message`.
        names: the names that the tool's schema has, anywhere in it; None if it is not known.

    Raises:
        ToolDeclarationError: a class word is none of `ArgumentClass`.
    """
    made_up = () if names is None else [name for name in arguments if name not in names]
    for name in made_up:
        yield _argument(f"{name}{OF_NAME}", "", name, classes)
    todo = [(name, _generic(name), value) for name, value in list(arguments.items())[::-1]]
    while todo:
        path, generic, value = todo.pop()
        if isinstance(value, dict) and not _is_reference(value):
            for key in value:
                if names is None or key not in names:
                    yield _argument(f"{path}.{key}{OF_NAME}", generic, str(key), classes)
            todo.extend(
                (f"{path}.{key}", f"{generic}.{_generic(str(key))}", item)
                for key, item in list(value.items())[::-1]
            )
        elif isinstance(value, list | tuple):
            todo.extend((f"{path}[{i}]", generic + "[]", value[i]) for i in range(len(value) - 1, -1, -1))
        else:
            yield _argument(path, generic, value, classes)


def _generic(name: str) -> str:
    """Return a name as a step of a declared path; one that would be several steps is none."""
    return _NO_PATH if _PATH.search(name) else name


def _is_reference(value: Mapping[str, Any]) -> bool:
    """Whether an object stands for withheld content."""
    return isinstance(value.get(REFERENCE), str)


def _argument(path: str, generic: str, value: Any, classes: Mapping[str, str]) -> Argument:
    """Attach the declared class to a leaf."""
    word, _, kind = _declared(generic, classes).partition(":")
    try:
        return Argument(path, value, ArgumentClass(word), kind)
    except ValueError:
        raise ToolDeclarationError(
            f"sinks: {generic!r} has the class {word!r}; known are " + ", ".join(ArgumentClass)
        ) from None


def _declared(generic: str, classes: Mapping[str, str]) -> str:
    """Return the class word of the longest declared path that covers a leaf."""
    while generic:
        if generic in classes:
            return classes[generic]
        generic = generic[:-2] if generic.endswith("[]") else generic.rpartition(".")[0]
    return classes.get(ANY, ArgumentClass.CONTENT)
