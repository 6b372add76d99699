"""Where did each argument come from? One session's answer, by matching values against all it was shown.

    tracker = Tracker()
    tracker.saw_request("Pay the bill in bill.txt")
    tracker.saw_result("c1", "files.read", {"text": "…"}, {"text": "untrusted"})
    origins = tracker.trace("bank.pay", {"to": "DE89 …"}, {"to": "dest"})

Rules:
- Trust is matched strictly, taint loosely (`vouched`, `foreign`).
- The request and vouched values beat taint when a value stands in both; a long id that hostile text also
  spells is taint.
- An echo of our own clean argument is not a stranger's text; a write's own result vouches for nothing.
- Whatever a bound leaves out counts as untrusted.
- The same inputs in the same order give the same answers: a session is rebuilt by replaying them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from pratique.capabilities.fields import Leaf, Shape, covering, full_path, lifted
from pratique.errors import ToolDeclarationError
from pratique.model import Carried, FieldLabel, Integrity
from pratique.origin import Origin, OriginKind, Source
from pratique.quarantine.arguments import leaves
from pratique.quarantine.confidential import Confidential
from pratique.quarantine.foreign import Call, Foreign
from pratique.quarantine.identify import Record, Written, identified, record_of
from pratique.quarantine.index import Budget
from pratique.quarantine.limits import Limits
from pratique.quarantine.marked import places
from pratique.quarantine.needle import written
from pratique.quarantine.normalise import loose
from pratique.quarantine.seen import SawRequest, SawResult, Seen
from pratique.quarantine.taking import Taking, echoes, is_clean, tainted_paths
from pratique.quarantine.tokens import tokenise
from pratique.quarantine.tracing import Tracing
from pratique.quarantine.vouched import Entry, Vouched

_NOTHING = ("", None)
_MOST_KEPT = 1000


class Passage(NamedTuple):
    """Words `start` to `stop` of a text, the field they came from, and whether they are confidential."""

    start: int
    stop: int
    source: Source
    secret: bool = False


class Tracker:
    """One session's provenance. Not shared between sessions: taint crosses only inside values.

    Args:
        limits: what it may cost.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._vouched = Vouched(self.limits)
        self._foreign = Foreign(self.limits)
        self._confidential = Confidential(self.limits.confidential)
        self._references: dict[str, Source] = {}
        self._records = 0
        self._shapes: dict[tuple[tuple[str, str], ...], Shape] = {}
        self._shown = False
        self._lost = False

    @property
    def exposed(self) -> bool:
        """Whether the agent was shown text from outside, as far as can be told."""
        return self._shown or self.saturated

    @property
    def saturated(self) -> bool:
        """Whether the bounds no longer cover everything: from then on, everything counts as tainted."""
        return self._lost or self._foreign.saturated or self._confidential.saturated

    def lose(self) -> None:
        """Say that something was shown which can no longer be matched: from now on everything is tainted."""
        self._lost = True

    @property
    def covers(self) -> str:
        """What is indexed, in words, and what no longer is."""
        kept = f"{self._foreign.fields} fields, {self._foreign.text_bytes} bytes from outside"
        return f"{kept}; what came after that is not covered" if self.saturated else kept

    @classmethod
    def restore(cls, seen: Iterable[Seen], limits: Limits | None = None) -> "Tracker":
        """Return the tracker that these inputs, in this order, lead to.

        Args:
            seen: what the session saw, as `SawRequest` and `SawResult`.
            limits: the same limits as before.
        """
        tracker = cls(limits)
        for event in seen:
            tracker.saw(event)
        return tracker

    def saw(self, event: Seen) -> None:
        """Take in one recorded input."""
        if isinstance(event, SawRequest):
            self._vouched.request(event.text)
        else:
            self._result(event, None)

    def saw_request(self, text: str) -> None:
        """Take in text that the user wrote, and nobody else. What it names is trusted.

        Args:
            text: the request, or a later turn of it.
        """
        self.saw(SawRequest(text=text))

    def saw_result(  # noqa: PLR0913  # the facts of one call, by name
        self,
        call_id: str,
        tool: str,
        value: Any,
        fields: Mapping[str, str],
        *,
        arguments: Mapping[str, Any] | None = None,
        classes: Mapping[str, str] | None = None,
        names: Collection[str] | None = None,
        origins: Sequence[Origin] | None = None,
        wrote: bool = False,
        ids: Mapping[str, str] | None = None,
        references: Mapping[str, str] | None = None,
        watched: bool = False,
        carried: Sequence[Carried] = (),
    ) -> None:
        """Take in a call's result: a value, or an error's text (which is untrusted: give no fields).

        Args:
            call_id: which call.
            tool: which tool.
            value: the JSON value.
            fields: dotted path → label word (see `pratique.capabilities.fields`).
            arguments: the call's arguments, so that echoes and records looked up by name are known for it.
            classes: the arguments' classes.
            names: the names that the tool's schema has; None if it is not known.
            origins: what `trace` said of these arguments; left out, they are traced here.
            wrote: whether the call changed something: its result then vouches for nothing but new ids.
            ids: generic record path (`messages[]`, `` for the result) → `email:{message_id}`, a name for its
                source made from the record's own fields.
            references: full path (`messages[0].body`) → reference, for what was withheld from the agent, with
                all that is below it.
            watched: whether every value of it is confidential, not only those that are marked so.
            carried: which parts of it an earlier write of ours put there, whatever the fields are declared.

        Raises:
            ToolDeclarationError: a label or class word is unknown.
        """
        event = SawResult(
            call_id=call_id,
            tool=tool,
            value=value,
            fields=dict(fields),
            arguments=dict(arguments or {}),
            classes=dict(classes or {}),
            names=None if names is None else frozenset(names),
            wrote=wrote,
            ids=dict(ids or {}),
            references=dict(references or {}),
            watched=watched,
            carried=tuple(carried),
        )
        self._result(event, origins)

    def trace(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        classes: Mapping[str, str],
        *,
        names: Collection[str] | None = None,
        thorough: bool = False,
    ) -> tuple[Origin, ...]:
        """Return where each leaf of the arguments came from, and each atom inside free text.

        Args:
            tool: the tool that would be called.
            arguments: name → JSON value.
            classes: name or generic path → class word; what is not declared is content.
            names: the names that the tool's schema has; any other name is text like a value. None if the
                schema is not known: then the outermost names are not looked at.
            thorough: look for spread-out letters as well. Reads the whole session, so only for a card.

        Raises:
            ToolDeclarationError: a class word is unknown; the message names the tool.
        """
        tracing = Tracing(
            self.limits, self._vouched, self._foreign, self._confidential, self._references, thorough=thorough
        )
        try:
            return tuple(origin for leaf in leaves(arguments, classes, names) for origin in tracing.of(leaf))
        except ToolDeclarationError as error:
            raise ToolDeclarationError(f"{tool}: {error}") from None

    def passages(self, text: str) -> list[Passage]:
        """Return which words of a text came from outside, and which are confidential values.

        Args:
            text: an argument's value.
        """
        words = tokenise(loose(text))
        found = [Passage(*place) for place in self._foreign.passages(words, Budget(self.limits.steps))]
        for value, source in self._confidential.within(loose(text)):
            found += [Passage(*place, source, secret=True) for place in places(tokenise(loose(value)), words)]
        return found

    def _result(self, event: SawResult, origins: Sequence[Origin] | None) -> None:
        """Take in a result: anchor its records, then each of its leaves by its label."""
        if origins is None:
            origins = self._traced(event)
        shape, first = self._shape(event.fields), self._records + 1
        found = _leaves_of(event.value, shape)
        self._records = first + max((leaf.record for leaf in found()), default=-1) + 1
        self._anchor(event, found(), first, origins)
        call = self._foreign.call(Call(event.call_id, event.tool))
        taking = Taking(event, call, first, echoes(event, origins))
        names = identified(event.value, event.ids) if event.ids else {}
        for leaf in found():
            self._leaf(leaf, taking, record_of(names, leaf.path, leaf.places))
        for part in event.carried:
            self._carried(part, taking)

    def _traced(self, event: SawResult) -> tuple[Origin, ...]:
        """Return where the arguments of a call came from that nobody traced before it ran."""
        if not event.arguments:
            return ()
        return self.trace(event.tool, event.arguments, event.classes, names=event.names)

    def _shape(self, fields: Mapping[str, str]) -> Shape:
        """Return the compiled declaration; a session uses few of them, again and again."""
        key = tuple(fields.items())
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = Shape(fields)
        return shape

    def _anchor(self, event: SawResult, found: Iterable[Leaf], first: int, origins: Sequence[Origin]) -> None:
        """Anchor the records of a result that are meant: its own number is `first`, its items' follow."""
        clean = all(is_clean(origin, exposed=self.exposed) for origin in origins)
        said = any(origin.kind is not OriginKind.LITERAL for origin in origins)
        alone = said and self._records == first + 1
        if event.wrote or clean:
            self._vouched.anchor(first)
        if clean and (event.wrote or alone):
            for record in range(first + 1, self._records + 1):
                self._vouched.anchor(record)
        tainted = tainted_paths(event)
        texts = (
            (first + leaf.record + 1, leaf.path, leaf.value, _is_anybody_s(leaf, tainted))
            for leaf in found
            if isinstance(leaf.value, str)
        )
        self._vouched.anchor_named(texts)

    def _leaf(self, leaf: Leaf, taking: Taking, record: Record | None) -> None:
        """Take in one leaf by its label."""
        if leaf.value in _NOTHING or isinstance(leaf.value, bool):
            return
        text, label = written(leaf.value), leaf.word.label
        path = full_path(leaf.path, leaf.places)
        withheld = covering(path, taking.event.references) if taking.event.references else None
        if withheld is not None:
            leaf = lifted(leaf, withheld)  # its source is told to the agent, so names below are not in it
            self._references[taking.event.references[withheld]] = taking.where(leaf, record).source
        if leaf.word.confidential or taking.event.watched:
            self._confidential.add(loose(text), text, taking.where(leaf, record).source)
        if taking.repeats_clean(text):
            return
        tainted = path in taking.tainted
        if not tainted and taking.vouches(text, label):
            where = taking.where(leaf, record)
            self._vouched.add(Entry(label, leaf.word.type, taking.first + leaf.record + 1, where, text))
        if tainted or label.foreign:
            self._shown = self._shown or withheld is None
            self._foreign.add(taking.call, leaf.path, leaf.places, text, record)

    def _carried(self, part: Carried, taking: Taking) -> None:
        """Take in what a write of ours put into this result, under the source that it had then.

        After the fields themselves, so that of two places where a text stands this is the newer one.
        """
        source = Source(id=part.source, call_id=taking.event.call_id, tool=taking.event.tool, path=part.path)
        if part.integrity is Integrity.TRUSTED:
            self._confidential.add(loose(part.text), part.text, source)
        elif not taking.repeats_clean(part.text):
            self._foreign.add(taking.call, part.path, (), part.text, Written(part.source))


def _leaves_of(value: Any, shape: Shape) -> Callable[[], Iterable[Leaf]]:
    """Return what gives the leaves of a result as often as wanted: kept, if they are few, else found again.

    A list of a million small ones is large.
    """
    kept = list(islice(shape.leaves(value), _MOST_KEPT + 1))
    if len(kept) <= _MOST_KEPT:
        return lambda: kept
    return lambda: shape.leaves(value)


def _is_anybody_s(leaf: Leaf, tainted: Collection[str]) -> bool:
    """Whether anybody may have written a leaf: by its label, or because a write of ours put it there."""
    if leaf.word.label is FieldLabel.UNTRUSTED:
        return True
    return bool(tainted) and full_path(leaf.path, leaf.places) in tainted
