"""One trace: each argument leaf against what is trusted and what came from outside.

Rules:
- Trust first, strictly; then taint, loosely; then passages of it; what remains, the model wrote.
- Addresses, links and numbers inside free text are traced by themselves, as destinations.
- One budget for the whole call.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pratique.model import ArgumentClass
from pratique.origin import UNSEARCHED, Origin, OriginKind, Part, Source
from pratique.quarantine.arguments import REFERENCE, Argument
from pratique.quarantine.atoms import atoms
from pratique.quarantine.confidential import Confidential
from pratique.quarantine.foreign import Foreign, Place
from pratique.quarantine.index import Budget
from pratique.quarantine.limits import Limits
from pratique.quarantine.needle import Needle
from pratique.quarantine.normalise import loose, strict
from pratique.quarantine.vouched import Vouch, Vouched

_MOST_ATOMS = 64
_MOST_PASSAGES = 4
_LONG_ID = 6
_FREE = {ArgumentClass.CONTENT, ArgumentClass.SCHED}


class Tracing:
    """Traces the leaves of one call.

    Args:
        limits: bounds.
        vouched: the trusted side.
        foreign: the untrusted side.
        confidential: what may not leave.
        references: reference → the field it stands for.
        thorough: look for spread-out letters too.
    """

    def __init__(  # the two sides of a session, by name
        self,
        limits: Limits,
        vouched: Vouched,
        foreign: Foreign,
        confidential: Confidential,
        references: Mapping[str, Source],
        *,
        thorough: bool,
    ) -> None:
        self._limits, self._vouched, self._foreign = limits, vouched, foreign
        self._confidential, self._references, self._thorough = confidential, references, thorough
        self._budget, self._rereads = Budget(limits.steps), Budget(limits.rereads)

    def of(self, leaf: Argument) -> Iterator[Origin]:
        """Yield the origin of a leaf, then of the atoms, passages and confidential values in it."""
        if isinstance(leaf.value, dict) and leaf.value:
            yield self._reference(leaf)
            return
        if leaf.value in ("", None) or isinstance(leaf.value, bool | dict):
            yield _origin(leaf, str(leaf.value), OriginKind.LITERAL)
            return
        needle = Needle(leaf.value)
        whole = list(self._whole(leaf, needle))
        yield from whole
        if leaf.wanted is ArgumentClass.CONTENT and whole[0].kind is not OriginKind.REQUEST:
            yield from self._atoms(leaf, needle)
        yield from self._leaks(leaf, needle)

    def _reference(self, leaf: Argument) -> Origin:
        """Return the origin of what a reference stands for: by reference, so exactly."""
        name = str(leaf.value[REFERENCE])
        source = self._references.get(name)
        return _origin(leaf, name, OriginKind.UNTRUSTED, source=source, how="reference")

    def _whole(self, leaf: Argument, needle: Needle) -> Iterator[Origin]:
        """Yield a leaf's origin; for text that is only partly from outside, one per source."""
        vouch = self._vouched.vouch(needle, leaf.wanted, leaf.record_type, self._budget)
        place = self._find(needle, leaf.wanted, vouched=vouch is not None)
        if vouch is not None and not _overruled(vouch, place, needle):
            yield self._by(leaf, needle, vouch, place)
        elif place is not None:
            yield self._from(leaf, needle.raw, place)
        elif leaf.wanted in _FREE and needle.size < self._limits.shortest:
            yield _origin(leaf, needle.raw, OriginKind.LITERAL)
        else:
            yield from self._passages(leaf, needle)

    def _find(self, needle: Needle, wanted: ArgumentClass, *, vouched: bool) -> Place | None:
        """Return where the whole value stands outside."""
        place = self._foreign.find(needle, wanted, self._budget)
        if place is None and self._thorough and not vouched and wanted is not ArgumentClass.CONTENT:
            place = self._foreign.squeezed(needle, self._rereads)
        return place

    def _by(
        self, leaf: Argument, needle: Needle, vouch: Vouch, place: Place | None, part: Part = Part.WHOLE
    ) -> Origin:
        """Return the origin of a value that something vouches for."""
        also = place or _NOWHERE
        return _origin(
            leaf,
            needle.raw[: self._limits.excerpt],
            vouch.kind,
            part,
            anchored=vouch.anchored,
            source=vouch.source,
            how=vouch.how,
            also=also.source,
            excerpt=also.excerpt,
            span=also.span,
        )

    def _from(self, leaf: Argument, value: str, place: Place, part: Part = Part.WHOLE) -> Origin:
        """Return the origin of a value that stands in text from outside."""
        return _origin(
            leaf,
            value[: self._limits.excerpt],
            OriginKind.UNTRUSTED,
            part,
            source=place.source,
            excerpt=place.excerpt,
            span=place.span,
            how=place.how,
        )

    def _passages(self, leaf: Argument, needle: Needle) -> Iterator[Origin]:
        """Yield the passages of a value that stand outside, longest first; if none, the model wrote it."""
        places: dict[Source | None, Place] = {}
        if needle.number is None and needle.date is None:
            found = self._foreign.parts(needle, leaf.wanted, self._budget)
            found_places = [
                place for passage, place in found if not self._vouched.explains(passage, self._budget)
            ]
            for place in sorted(
                found_places + list(self._encoded(needle)), key=lambda place: -len(place.text)
            ):
                places.setdefault(place.source, place)
        if not places:
            yield _origin(leaf, needle.raw[: self._limits.excerpt], OriginKind.MODEL)
        for number, place in enumerate(list(places.values())[:_MOST_PASSAGES]):
            part = Part.PASSAGE if number else Part.WHOLE
            yield self._from(leaf, place.text if number else needle.raw, place, part)

    def _encoded(self, needle: Needle) -> Iterator[Place]:
        """Yield where what the argument holds in base64 or hex stands outside."""
        for how, inner in needle.encoded:
            for _, place in self._foreign.parts(Needle(inner), ArgumentClass.CONTENT, self._budget):
                yield place._replace(how=f"{how} in the argument")

    def _atoms(self, leaf: Argument, needle: Needle) -> Iterator[Origin]:
        """Yield the origin of each address, link, account number and key in a text."""
        texts = dict.fromkeys((needle.loose, needle.strict))
        found = list(dict.fromkeys(atom for text in texts for atom in atoms(text)))
        for atom in found[:_MOST_ATOMS]:
            yield self._atom(leaf, Needle(atom), verbatim=atom in needle.strict)
        if len(found) > _MOST_ATOMS:
            yield self._from(leaf, f"{len(found) - _MOST_ATOMS} more", Place(UNSEARCHED), Part.ATOM)

    def _atom(self, leaf: Argument, atom: Needle, *, verbatim: bool) -> Origin:
        """Return the origin of one atom. Only one that stands there verbatim can be vouched for."""
        vouch = self._vouched.vouch(atom, ArgumentClass.DEST, "", self._budget) if verbatim else None
        place = self._find(atom, ArgumentClass.DEST, vouched=vouch is not None)
        if vouch is not None and not _overruled(vouch, place, atom):
            return self._by(leaf, atom, vouch, place, Part.ATOM)
        if place is not None:
            return self._from(leaf, atom.raw, place, Part.ATOM)
        return _origin(leaf, atom.raw[: self._limits.excerpt], OriginKind.MODEL, Part.ATOM)

    def _leaks(self, leaf: Argument, needle: Needle) -> Iterator[Origin]:
        """Yield each confidential value that the request did not name."""
        if not self._confidential:
            return
        texts = [needle.loose, *(loose(inner) for _, inner in needle.encoded)]
        found = dict(pair for text in texts for pair in self._confidential.within(text))
        for value, source in found.items():
            if not self._vouched.in_request(strict(value)):
                yield _origin(
                    leaf, "", OriginKind.RECORD, Part.CONFIDENTIAL, source=source, how="confidential"
                )


_NOWHERE = Place("")


def _origin(leaf: Argument, value: str, kind: OriginKind, part: Part = Part.WHOLE, **where: Any) -> Origin:
    """Return a leaf's origin, with what is known of where."""
    return Origin(
        argument=leaf.path,
        argument_class=leaf.wanted,
        record_type=leaf.record_type,
        part=part,
        value=value,
        kind=kind,
        **where,
    )


def _overruled(vouch: Vouch, place: Place | None, needle: Needle) -> bool:
    """Whether taint beats what vouches: for a long id that hostile text spells, or may spell."""
    if place is None or vouch.kind is not OriginKind.RECORD:
        return False
    return needle.size >= _LONG_ID and needle.date is None and needle.number is None
