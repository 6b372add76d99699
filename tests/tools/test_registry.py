"""A tool is what it declares, strictly; what cannot be declared is refused where it is written."""

import sys
import types
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from pratique.errors import ToolDeclarationError
from pratique.model import ArgumentClass, Confidentiality, Level, Tier
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool
from pratique.tools.registry import Registry


def declared(**facts: Any) -> Tool:
    @tool(facts.pop("name", "desk.note"), tier=facts.pop("tier", "write"), **facts)
    async def note(_: ToolContext, text: str, times: int = 1) -> None:
        """Write a note."""

    return note


def test_a_declaration_says_everything() -> None:
    made = declared(
        confidentiality="restricted",
        sources=["body", "items[].text"],
        sinks={"text": "dest"},
        hosts=["api.example:8443"],
        paths={"room": "write"},
        secrets=["key"],
        takes_idempotency_key=True,
        timeout=3,
        result_limit=100,
    ).capability
    assert (made.name, made.tier, made.description) == ("desk.note", Tier.WRITE, "Write a note.")
    assert made.confidentiality is Confidentiality.RESTRICTED
    assert made.sinks == {"text": ArgumentClass.DEST}
    assert made.sources == {"body": "untrusted", "items[].text": "untrusted", "*": "meta"}
    assert (made.hosts, made.paths, made.secrets) == (("api.example:8443",), {"room": "write"}, ("key",))
    assert (made.runs_in, made.takes_idempotency_key) == (Level.INLINE, True)
    assert set(made.parameters["properties"]) == {"text", "times"}
    assert made.parameters["required"] == ["text"]
    assert made.parameters["additionalProperties"] is False


@pytest.mark.parametrize(
    "body",
    ['{"text":1}', '{"text":"a","times":"1"}', '{"text":"a","times":true}', '{"text":"a","times":1.5}', "{}",
     '{"text":null}', '{"text":"a","more":1}', "[]", "null", '{"text":"a","times":1e400}'],
)  # fmt: skip
def test_arguments_are_not_coerced(body: str) -> None:
    with pytest.raises(ValidationError):
        declared().arguments.model_validate_json(body)


def test_no_number_that_is_none_gets_in() -> None:
    @tool("desk.weigh", tier="read")
    async def weigh(_: ToolContext, weight: float) -> None: ...

    for body in ('{"weight":NaN}', '{"weight":Infinity}', '{"weight":1e999}', '{"weight":"1"}'):
        with pytest.raises(ValidationError):
            weigh.arguments.model_validate_json(body)


CHANGES: list[dict[str, Any]] = [
    {"name": "desk.other"},
    {"tier": "irreversible"},
    {"confidentiality": "public"},
    {"sources": ["body"]},
    {"sources": {"*": "meta"}},
    {"sinks": {"text": "content"}},
    {"hosts": ["x.example"]},
    {"paths": {"room": "read"}},
    {"secrets": ["key"]},
    {"takes_idempotency_key": True},
    {"endorses": True},
    {"timeout": 31},
    {"result_limit": 7},
    {"runs_in": "jail"},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_the_digest_covers_every_fact(change: dict[str, Any]) -> None:
    assert declared(**change).capability.digest != declared().capability.digest


def test_the_digest_covers_the_schema_and_the_words_and_nothing_else() -> None:
    @tool("desk.note", tier="write")
    async def note(_: ToolContext, text: str, times: int = 1) -> int:
        """Write a note."""
        return len(text) * times

    @tool("desk.note", tier="write")
    async def other_default(_: ToolContext, text: str, times: int = 2) -> None:
        """Write a note."""

    @tool("desk.note", tier="write")
    async def other_words(_: ToolContext, text: str, times: int = 1) -> None:
        """Burn a note."""

    assert note.capability.digest == declared().capability.digest
    assert other_default.capability.digest != declared().capability.digest
    assert other_words.capability.digest != declared().capability.digest


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"name": "note"}, "dotted"),
        ({"name": "Desk.note"}, "lower case"),
        ({"name": "desk.*"}, "dotted"),
        ({"name": ""}, "dotted"),
        ({"name": "desk.note\n"}, "dotted"),
        ({"tier": "writ"}, "writ"),
        ({"confidentiality": "secret"}, "secret"),
        ({"runs_in": "cage"}, "cage"),
        ({"sinks": {"nobody": "dest"}}, "the sink 'nobody' is no argument"),
        ({"sinks": {"text": "destination"}}, "destination"),
        ({"sources": {"body": "hostile"}}, "hostile"),
        ({"sources": "body"}, "one word"),
        ({"hosts": ["https://x.example"]}, "is not host"),
        ({"hosts": ["x.example/path"]}, "is not host"),
        ({"hosts": ["*.example"]}, "is not host"),
        ({"paths": {"room": "append"}}, "say read or write"),
        ({"paths": {"room": "write"}, "tier": "read"}, "its tier is at least write"),
        ({"timeout": 0}, "positive"),
        ({"timeout": float("nan")}, "nan is not JSON"),
        ({"result_limit": 0}, "positive"),
    ],
    ids=str,
)
def test_a_fact_that_is_none_is_refused(facts: dict[str, Any], why: str) -> None:
    with pytest.raises(ToolDeclarationError, match=why):
        declared(**facts)


class NotJson:
    pass


SIGNATURES: dict[str, Any] = {
    "no parameter": lambda: None,
    "no context": lambda text: text,
}


def signature(of: Any) -> Any:
    SIGNATURES[of.__name__.replace("_", " ")] = of
    return of


@signature
def no_type(_: ToolContext, text) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001  # that is the point


@signature
def star(_: ToolContext, *texts: str) -> None: ...


@signature
def stars(_: ToolContext, **texts: str) -> None: ...


@signature
def positional(_: ToolContext, text: str, /) -> None: ...


@signature
def private(_: ToolContext, _text: str) -> None: ...


@signature
def no_schema(_: ToolContext, thing: NotJson) -> None: ...


@signature
def huge_default(_: ToolContext, n: int = 2**60) -> None: ...


@signature
def unknown_type(_: ToolContext, thing: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821  # that is the point


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_that_cannot_be_declared_is_refused(name: str) -> None:
    with pytest.raises(ToolDeclarationError, match=r"desk\.x"):
        tool("desk.x", tier="read")(SIGNATURES[name])


def test_rich_types_have_a_schema_and_are_checked() -> None:
    class Line(BaseModel):
        item: str
        count: Annotated[int, Field(ge=1)]

    @tool("desk.order", tier="write")
    async def order(_: ToolContext, lines: list[Line], how: Literal["fast", "slow"] = "slow") -> None: ...

    good = order.arguments.model_validate_json('{"lines":[{"item":"a","count":1}]}')
    assert isinstance(good.lines[0], Line)  # type: ignore[attr-defined]  # made from the signature
    for bad in ('{"lines":[{"item":"a","count":0}]}', '{"lines":[],"how":"never"}', '{"lines":{}}'):
        with pytest.raises(ValidationError):
            order.arguments.model_validate_json(bad)


def test_a_name_is_taken_once() -> None:
    one, other = declared(), declared(timeout=5)
    assert len(Registry([one, one])) == 1
    with pytest.raises(ToolDeclarationError, match=r"two tools are called 'desk\.note'"):
        Registry([one, other])


def test_only_the_exact_name_finds_a_tool() -> None:
    registry = Registry([declared()])
    assert registry.get("desk.note") is not None
    for other in ("desk.Note", "desk.note ", "desk", "", "note", "desk.note\0"):
        assert registry.get(other) is None
    assert [t.capability.name for t in registry] == ["desk.note"]


def test_tools_come_from_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    full, bare = types.ModuleType("full_of_tools"), types.ModuleType("bare")
    full.note = declared()  # type: ignore[attr-defined]  # a module made here
    monkeypatch.setitem(sys.modules, "full_of_tools", full)
    monkeypatch.setitem(sys.modules, "bare", bare)
    assert len(Registry.from_modules(["full_of_tools"])) == 1
    bare.made = (declared(name="desk.a"), declared(name="desk.b"), "no tool")  # type: ignore[attr-defined]  # as above
    assert {tool.capability.name for tool in Registry.from_modules(["bare"])} == {"desk.a", "desk.b"}
    bare.made = ()  # type: ignore[attr-defined]  # as above
    with pytest.raises(ToolDeclarationError, match=r"'bare' holds no @tool"):
        Registry.from_modules(["bare"])
    with pytest.raises(ToolDeclarationError, match=r"'no\.such\.module' cannot be imported"):
        Registry.from_modules(["no.such.module"])


def test_a_declaration_is_not_a_function() -> None:
    made: Any = declared()
    with pytest.raises(TypeError, match="not callable"):
        made("text")
