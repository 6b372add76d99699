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

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from pratique.errors import ToolDeclarationError
from pratique.model import FieldLabel
from pratique.quarantine.arguments import leaves
from pratique.quarantine.confidential import Confidential
from pratique.quarantine.fields import Leaf, Shape, full_path
from pratique.quarantine.foreign import Call, Foreign
from pratique.quarantine.identify import identified
from pratique.quarantine.limits import Limits
from pratique.quarantine.needle import Needle, written
from pratique.quarantine.normalise import loose
from pratique.quarantine.origin import Origin, OriginKind, Source
from pratique.quarantine.seen import SawRequest, SawResult, Seen
from pratique.quarantine.tracing import Tracing
from pratique.quarantine.vouched import Entry, Vouched

_LONGEST_WHOLE = 512
_MOST_ECHOES = 10_000
_CLEAN = {OriginKind.REQUEST, OriginKind.AUTHORITY, OriginKind.INTERNAL, OriginKind.LITERAL}


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

    @property
    def exposed(self) -> bool:
        """Whether the agent was shown text from outside, as far as can be told."""
        return self._shown or self.saturated

    @property
    def saturated(self) -> bool:
        """Whether the bounds no longer cover everything: from then on, everything counts as tainted."""
        return self._foreign.saturated or self._confidential.saturated

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
        origins: Sequence[Origin] | None = None,
        wrote: bool = False,
        ids: Mapping[str, str] | None = None,
        references: Mapping[str, str] | None = None,
    ) -> None:
        """Take in a call's result: a value, or an error's text (which is untrusted: give no fields).

        Args:
            call_id: which call.
            tool: which tool.
            value: the JSON value.
            fields: dotted path → label word (see `pratique.quarantine.fields`).
            arguments: the call's arguments, so that echoes and records looked up by name are known for it.
            classes: the arguments' classes.
            origins: what `trace` said of these arguments; left out, they are traced here.
            wrote: whether the call changed something: its result then vouches for nothing but new ids.
            ids: generic record path (`messages[]`, `` for the result) → `email:{message_id}`, a name for its
                source made from the record's own fields.
            references: full path (`messages[0].body`) → reference, for what was withheld from the agent.

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
            wrote=wrote,
            ids=dict(ids or {}),
            references=dict(references or {}),
        )
        self._result(event, origins)

    def trace(
        self, tool: str, arguments: Mapping[str, Any], classes: Mapping[str, str], *, thorough: bool = False
    ) -> tuple[Origin, ...]:
        """Return where each leaf of the arguments came from, and each atom inside free text.

        Args:
            tool: the tool that would be called.
            arguments: name → JSON value.
            classes: name or generic path → class word; what is not declared is content.
            thorough: look for spread-out letters as well. Reads the whole session, so only for a card.

        Raises:
            ToolDeclarationError: a class word is unknown; the message names the tool.
        """
        tracing = Tracing(
            self.limits, self._vouched, self._foreign, self._confidential, self._references, thorough=thorough
        )
        try:
            return tuple(origin for leaf in leaves(arguments, classes) for origin in tracing.of(leaf))
        except ToolDeclarationError as error:
            raise ToolDeclarationError(f"{tool}: {error}") from None

    def _result(self, event: SawResult, origins: Sequence[Origin] | None) -> None:
        """Take in a result: anchor its records, then each of its leaves by its label."""
        if origins is None:
            origins = self.trace(event.tool, event.arguments, event.classes) if event.arguments else ()
        found = list(self._shape(event.fields).leaves(event.value))
        first = self._records + 1
        self._records = first + max((leaf.record for leaf in found), default=-1) + 1
        self._anchor(event, found, first, origins)
        taking = _Taking(
            event, self._foreign.call(Call(event.call_id, event.tool)), first, _echoes(event, origins)
        )
        names = identified(event.value, event.ids) if event.ids else {}
        for leaf in found:
            self._leaf(
                leaf,
                taking,
                names.get((leaf.path.partition("[]")[0], leaf.places[:1]), names.get(("", ()), "")),
            )

    def _shape(self, fields: Mapping[str, str]) -> Shape:
        """Return the compiled declaration; a session uses few of them, again and again."""
        key = tuple(fields.items())
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = Shape(fields)
        return shape

    def _is_clean(self, origin: Origin) -> bool:
        """Whether an argument was not steered by text from outside."""
        if origin.kind is OriginKind.RECORD:
            return origin.anchored
        return origin.kind in _CLEAN or (origin.kind is OriginKind.MODEL and not self.exposed)

    def _anchor(self, event: SawResult, found: list[Leaf], first: int, origins: Sequence[Origin]) -> None:
        """Anchor the records of a result that are meant: its own number is `first`, its items' follow."""
        clean = all(map(self._is_clean, origins))
        alone = self._records == first + 1 and any(
            origin.kind is not OriginKind.LITERAL for origin in origins
        )
        if event.wrote or clean:
            self._vouched.anchor(first)
        if clean and (event.wrote or alone):
            for record in range(first + 1, self._records + 1):
                self._vouched.anchor(record)
        texts = (
            (first + leaf.record + 1, leaf.path, leaf.value) for leaf in found if isinstance(leaf.value, str)
        )
        self._vouched.anchor_named(texts)

    def _leaf(self, leaf: Leaf, taking: "_Taking", record_id: str) -> None:
        """Take in one leaf by its label."""
        if leaf.value in _NOTHING or isinstance(leaf.value, bool):
            return
        text, label, path = written(leaf.value), leaf.word.label, full_path(leaf.path, leaf.places)
        echo = taking.echo(text)
        source = Source(
            id=f"{taking.event.tool}:{taking.event.call_id}#{path}",
            call_id=taking.event.call_id,
            tool=taking.event.tool,
            path=path,
        )
        if leaf.word.confidential:
            self._confidential.add(loose(text), text, source)
        reference = taking.event.references.get(path)
        if reference is not None:
            self._references[reference] = source
        if echo is True:
            return
        if (
            label is not FieldLabel.UNTRUSTED
            and len(text) <= _LONGEST_WHOLE
            and not taking.launders(label, echo=echo)
        ):
            self._vouched.add(Entry(label, leaf.word.type, taking.first + leaf.record + 1, source, text))
        if label.foreign:
            self._shown = self._shown or reference is None
            self._foreign.add(taking.call, leaf.path, leaf.places, text, record_id)


_NOTHING = ("", None)


class _Taking:
    """What the leaves of one result have in common."""

    def __init__(self, event: SawResult, call: int, first: int, echoes: Mapping[str | Decimal, bool]) -> None:
        self.event, self.call, self.first, self.echoes = event, call, first, echoes

    def echo(self, text: str) -> bool | None:
        """Whether a text repeats an argument: True for a clean one, False for another, None for neither."""
        if not self.echoes or len(text) > _LONGEST_WHOLE:
            return None
        return self.echoes.get(Needle(text).key)

    def launders(self, label: FieldLabel, *, echo: bool | None) -> bool:
        """Whether remembering the value would vouch for what a call was merely told."""
        return self.event.wrote and (label is FieldLabel.AUTHORITY or echo is False)


def _echoes(event: SawResult, origins: Sequence[Origin]) -> dict[str | Decimal, bool]:
    """Return each argument's value and whether it was clean: request or vouched, every part of it."""
    unclean = {origin.argument for origin in origins if origin.kind not in _CLEAN}
    echoes: dict[str | Decimal, bool] = {}
    for leaf in leaves(event.arguments, event.classes):
        text = written(leaf.value)
        if (
            0 < len(text) <= _LONGEST_WHOLE
            and not isinstance(leaf.value, dict)
            and len(echoes) < _MOST_ECHOES
        ):
            key = Needle(text).key
            echoes[key] = echoes.get(key, True) and leaf.path not in unclean
    return echoes
