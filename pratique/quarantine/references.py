"""References inside arguments: found, checked, and replaced by what they stand for.

Rules:
- A reference is an object with the key `$ref`; its other keys are what `withhold` wrote, and are not
  believed.
- It must be one of this session's. A forged one, or one of another session, is an error: never a guess.
- Something that looks like a reference but is not one (an id of another form, further keys, a reference
  inside
  a text) is an error too, or stays the text it is.
- What a reference stands for is put in as it is and not searched for references again.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pratique.quarantine.arguments import REFERENCE
from pratique.quarantine.reveal import FORM, UnresolvedReferenceError

Lookup = Callable[[str], Any]
"""Reference id → its value. Raises `KeyError` for an id that is not this session's."""

_KEYS = {REFERENCE, "kind", "chars", "items", "keys"}
_DEEPEST = 200


def references(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ids of all references in the arguments, in order, each once.

    Raises:
        UnresolvedReferenceError: one is malformed.
    """
    return tuple(dict.fromkeys(_found(arguments)))


def resolve(arguments: Mapping[str, Any], lookup: Lookup) -> dict[str, Any]:
    """Return the arguments with each reference replaced by what it stands for.

    Args:
        arguments: name → JSON value.
        lookup: this session's references.

    Raises:
        UnresolvedReferenceError: a reference is malformed, or `lookup` does not know it.
    """
    return {name: _resolved(value, lookup, 0) for name, value in arguments.items()}


def _found(root: Any) -> Iterator[str]:
    """Yield the id of each reference below a value, without recursion."""
    todo = [root]
    while todo:
        value = todo.pop()
        if isinstance(value, Mapping):
            if REFERENCE in value:
                yield _read(value)
            else:
                todo.extend(list(value.values())[::-1])
        elif isinstance(value, list | tuple):
            todo.extend(reversed(value))


def _resolved(value: Any, lookup: Lookup, depth: int) -> Any:
    """Return a value with its references replaced."""
    if depth > _DEEPEST:
        raise UnresolvedReferenceError(f"arguments are nested more than {_DEEPEST} levels deep")
    if isinstance(value, Mapping):
        if REFERENCE in value:
            return _looked_up(_read(value), lookup)
        return {key: _resolved(item, lookup, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved(item, lookup, depth + 1) for item in value]
    return value


def _looked_up(reference: str, lookup: Lookup) -> Any:
    """Return what this session's reference stands for."""
    try:
        return lookup(reference)
    except KeyError:
        raise UnresolvedReferenceError(f"{reference!r} is not a reference of this session") from None


def _read(value: Mapping[str, Any]) -> str:
    """Return the id of a reference, if it has the form of one."""
    reference = value[REFERENCE]
    if not isinstance(reference, str) or not FORM.fullmatch(reference) or not set(value) <= _KEYS:
        raise UnresolvedReferenceError(
            "an argument holds an object with $ref that is not a reference we gave"
        )
    return reference
