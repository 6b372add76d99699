"""What an edit makes of origins: what an approver typed is theirs, what they left in keeps its origin.

Rules:
- A leaf that was not changed keeps all of its origins.
- In a leaf that was changed, text from outside (and a confidential value) that stood there before is still
  there, and keeps its origin: who deletes one sentence of an injected text has not written the rest.
- A name that they typed is theirs as well, unless it stood there before, as a value or as a name.
- Everything else of a changed leaf was written by the approver, who answers for it, even where the same words
  stand in a message: they could see where those came from.
"""

from collections.abc import Collection, Iterator
from typing import Any

import orjson

from pratique.model import ArgumentClass, Edited, Origin, OriginKind, Part
from pratique.quarantine.normalise import loose
from pratique.words import OF_NAME

_KEPT = {OriginKind.UNTRUSTED, OriginKind.IDENTITY}
_AS_IT_STANDS = {"", "exact", "part"}
EXCERPT = 120


def of_approver(origins: tuple[Origin, ...], edited: Edited | None) -> tuple[Origin, ...]:
    """Return the origins of an edited call's arguments.

    Args:
        origins: what a trace of the edited arguments found.
        edited: what was changed; None if nothing was.
    """
    if edited is None:
        return origins
    before = dict(leaves(orjson.loads(edited.before_json)))
    kept, typed = [], dict[str, Origin]()
    for origin in origins:
        if not _is_changed(origin.argument, edited, before):
            kept.append(origin)
            continue
        typed.setdefault(origin.argument, _theirs(origin))
        if any(_stood_there(origin, value) for value in (*before.values(), *before)):  # wherever it was
            kept.append(origin)
    left_in = {origin.argument for origin in kept if origin.part is Part.WHOLE}
    return (*kept, *(origin for path, origin in typed.items() if path not in left_in))


def _is_changed(path: str, edited: Edited, before: Collection[str]) -> bool:
    """Whether a leaf is the editor's: a value that differs, or a name under which nothing stood before."""
    if path in edited.changed:
        return True
    named = path.removesuffix(OF_NAME)
    return named != path and not any(_is_below(named, was) for was in before)


def _is_below(named: str, path: str) -> bool:
    return path == named or path.startswith((f"{named}.", f"{named}["))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of each leaf of a JSON value; paths are written as origins write them."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for place, item in enumerate(value):
            yield from leaves(item, f"{path}[{place}]")
    else:
        yield path, value


def changed_leaves(before: Any, after: Any) -> dict[str, Any]:
    """Return path → new value of each leaf that differs; None for one that is gone."""
    was, becomes = dict(leaves(before)), dict(leaves(after))
    gone = {path: None for path in was if path not in becomes}
    return gone | {
        path: value
        for path, value in becomes.items()
        if path not in was or orjson.dumps(was[path]) != orjson.dumps(value)
    }


def _stood_there(origin: Origin, before: Any) -> bool:
    foreign = origin.kind in _KEPT or origin.part is Part.CONFIDENTIAL
    if not foreign or before is None:
        return False
    start, end = origin.span
    match = origin.excerpt[start:end]
    if not match or origin.how not in _AS_IT_STANDS:
        return True  # it stands there in another form, or was not searched for: it may have been there before
    text = before if isinstance(before, str) else orjson.dumps(before).decode()
    return loose(match).strip() in loose(text)


def _theirs(origin: Origin) -> Origin:
    return Origin(
        argument=origin.argument,
        argument_class=ArgumentClass(origin.argument_class),
        record_type=origin.record_type,
        value=origin.value[:EXCERPT],
        kind=OriginKind.APPROVER,
    )
