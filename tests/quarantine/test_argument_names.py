"""Names inside arguments: those of the tool's schema are its own, every other is text like a value."""

import pytest

from pratique.capabilities.schema_names import named
from pratique.model import ArgumentClass
from pratique.origin import argument_of
from pratique.quarantine.arguments import leaves
from pratique.quarantine.provenance import Tracker

SCHEMA = {
    "type": "object",
    "properties": {
        "to": {"$ref": "#/$defs/Party"},
        "roles": {"type": "object", "propertyNames": {"enum": ["owner", "guest"]}},
        "rows": {"type": "array", "items": {"anyOf": [{"properties": {"cell": {}}}, {"type": "null"}]}},
        "extra": {"default": {"properties": {"quoted": {}}}, "examples": [{"properties": {"shown": {}}}]},
    },
    "$defs": {"Party": {"properties": {"mail": {"type": "string"}, "properties": {"type": "string"}}}},
}


def test_a_schema_names_its_properties_wherever_they_are_and_nothing_that_it_only_quotes() -> None:
    expected = {"to", "roles", "rows", "extra", "mail", "properties", "cell", "owner", "guest"}
    assert named(SCHEMA) == expected


def test_names_that_the_schema_does_not_have_are_leaves_of_their_object_s_class() -> None:
    arguments = {"to": {"mail": "a", "evil": "b"}, "mallory": {"x": True}}
    found = {
        leaf.path: leaf.wanted for leaf in leaves(arguments, {"to": "dest", "*": "amount"}, named(SCHEMA))
    }
    assert found == {
        "mallory#key": ArgumentClass.AMOUNT,
        "to.evil#key": ArgumentClass.DEST,
        "to.mail": ArgumentClass.DEST,
        "to.evil": ArgumentClass.DEST,
        "mallory.x#key": ArgumentClass.AMOUNT,
        "mallory.x": ArgumentClass.AMOUNT,
    }


@pytest.mark.parametrize("name", ["note.x", "note[", "note]"])
def test_a_name_that_imitates_a_path_does_not_take_its_class(name: str) -> None:
    """`note` is free text by declaration; an outermost name `note.x` is not below it."""
    found = {leaf.path: leaf.wanted for leaf in leaves({name: "evil"}, {"note": "content", "*": "dest"}, ())}
    assert set(found.values()) == {ArgumentClass.DEST}


def test_an_outermost_name_from_outside_is_found() -> None:
    tracker = Tracker()
    tracker.saw_request("Read letter 7")
    tracker.saw_result("c1", "mail.read", {"body": "settle DE89370400440532013000 now"}, {})
    arguments = {"DE89370400440532013000": True, "path": "x"}
    [name, *_] = tracker.trace("files.read", arguments, {"*": "dest"}, names=("path",))
    assert (name.argument, name.kind) == ("DE89370400440532013000#key", "untrusted")


def test_a_name_that_was_not_traced_explains_no_text_of_a_result() -> None:
    """A stranger's text stays one also if it is spelled like an argument's name."""
    tracker = Tracker()
    tracker.saw_request("Read letter 7")
    tracker.saw_result(
        "c1", "mail.read", {"body": "mallory"}, {}, arguments={"mallory": True}, names=(), origins=()
    )
    assert tracker.exposed


def test_a_reason_does_not_repeat_an_outermost_name() -> None:
    assert argument_of("DE89370400440532013000#key") == "an argument's name"
    assert argument_of("to.DE89370400440532013000#key") == "to"
