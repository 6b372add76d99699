"""Every leaf of a result gets the label that its declaration gives it, and none that it gives itself."""

from typing import Any

import pytest

from pratique.capabilities.fields import Shape, full_path
from pratique.errors import ToolDeclarationError
from pratique.model import FieldLabel
from pratique.quarantine.identify import Record, identified, record_of


def labelled(fields: dict[str, str], value: Any) -> dict[str, FieldLabel]:
    return {full_path(leaf.path, leaf.places): leaf.word.label for leaf in Shape(fields).leaves(value)}


def test_what_is_not_declared_is_untrusted_keys_too() -> None:
    found = labelled({"id": "meta"}, {"id": 1, "note": "x"})
    assert found == {"id": FieldLabel.META, "note": FieldLabel.UNTRUSTED, "note#key": FieldLabel.UNTRUSTED}


def test_a_declaration_speaks_for_what_is_below_it() -> None:
    found = labelled({"own": "authority"}, {"own": {"a": [1, {"b": 2}]}})
    assert found["own.a[0]"] is FieldLabel.AUTHORITY
    assert found["own.a[1].b"] is FieldLabel.AUTHORITY


def test_the_star_speaks_for_the_rest_at_any_depth() -> None:
    found = labelled(
        {"messages[].id": "meta", "*": "internal"}, {"messages": [{"id": 1, "body": "x"}], "n": "y"}
    )
    assert found["messages[0].body"] is FieldLabel.INTERNAL
    assert found["n"] is FieldLabel.INTERNAL
    assert found["messages[0].id"] is FieldLabel.META


def test_an_open_map_labels_keys_and_values() -> None:
    found = labelled({"prices.*": "meta", "prices.#key": "identity"}, {"prices": {"acme": 3}})
    assert found == {"prices.acme": FieldLabel.META, "prices.acme#key": FieldLabel.IDENTITY}


def test_a_key_is_never_vouched_for_by_a_strangers_label() -> None:
    found = labelled({"people": "identity", "sizes": "meta"}, {"people": {"evil": 1}, "sizes": {"a.txt": 2}})
    assert found["people.evil#key"] is FieldLabel.UNTRUSTED
    assert found['sizes["a.txt"]#key'] is FieldLabel.META


@pytest.mark.parametrize("key", ["own.iban", "own[].iban", "[]", "*", "#key", "own"])
def test_a_hostile_key_never_borrows_a_declared_label(key: str) -> None:
    fields = {"map.x": "meta", "own.iban": "authority", "list[].y": "authority"}
    found = labelled(fields, {"map": {key: "evil"}, "list": {"[]": {"y": "evil"}}})
    assert set(found.values()) == {FieldLabel.UNTRUSTED}


def test_a_scalar_result_is_declared_by_the_empty_path() -> None:
    assert labelled({"": "authority"}, "DE89") == {"": FieldLabel.AUTHORITY}
    assert labelled({"*": "meta"}, 5) == {"": FieldLabel.META}
    assert labelled({}, "DE89") == {"": FieldLabel.UNTRUSTED}


def test_a_split_field_is_cut_at_the_first_separator() -> None:
    leaves = list(Shape({"review": "split(\n)meta,untrusted"}).leaves({"review": "4.5\nnice\nplace"}))
    assert [(leaf.value, leaf.word.label) for leaf in leaves] == [
        ("4.5", FieldLabel.META),
        ("nice\nplace", FieldLabel.UNTRUSTED),
    ]


def test_a_split_field_with_too_few_pieces_is_untrusted() -> None:
    assert labelled({"review": "split(\n)meta,untrusted"}, {"review": "4.5"}) == {
        "review": FieldLabel.UNTRUSTED
    }


def test_types_and_marks_are_read() -> None:
    (leaf,) = Shape({"pin": "meta:card!"}).leaves({"pin": "1234"})
    assert (leaf.word.type, leaf.word.confidential) == ("card", True)


def test_an_unknown_word_is_an_error_that_names_the_path() -> None:
    with pytest.raises(ToolDeclarationError, match=r"'x\.y'.*trustworthy"):
        Shape({"x.y": "trustworthy"})


def test_records_are_the_items_of_the_outermost_list() -> None:
    value = {"count": 2, "mails": [{"id": 1, "files": [{"n": "a"}]}, {"id": 2}]}
    found = {full_path(leaf.path, leaf.places): leaf.record for leaf in Shape({"*": "meta"}).leaves(value)}
    assert (found["count"], found["mails[0].files[0].n"], found["mails[1].id"]) == (-1, 0, 1)


def test_nesting_costs_no_stack() -> None:
    value: Any = "deep"
    for _ in range(3000):
        value = [value]
    (leaf,) = Shape({}).leaves(value)
    assert leaf.value == "deep"


def test_a_record_names_its_source_if_its_id_is_fit() -> None:
    value = {"mails": [{"id": "<a@b>"}, {"id": "x#body of another"}, {"body": "no id"}]}
    assert identified(value, {"mails[]": "email:{id}"}) == {("mails", (0,)): Record("email:<a@b>", "mails[]")}
    assert identified({"id": 7}, {"": "ticket:{id}"}) == {("", ()): Record("ticket:7", "")}
    assert identified({"id": 7}, {"": "ticket:{id.__class__}"}) == {}


def test_a_source_is_a_field_within_its_record() -> None:
    """A list inside a record that has a name belongs to it: the order of a customer is no customer."""
    mail, customer = Record("email:7", "mails[]"), Record("customer:1", "")
    assert mail.source("mails[].body", (0,)) == "email:7#body"
    assert mail.source("mails[].files[].text", (0, 3)) == "email:7#files[3].text"
    assert mail.source("mails[].files[].text") == "email:7#files[].text"
    assert customer.source("orders[].id", (2,)) == "customer:1#orders[2].id"
    assert Record("row:4", "[]").source('[]["x@y"]#key', (4,)) == 'row:4#["x@y"]#key'
    names = {("mails", (0,)): mail, ("", ()): customer}
    assert record_of(names, "mails[].body", (0,)) == mail
    assert record_of(names, "mails[].body", (1,)) == customer
    assert record_of({}, "mails[].body", (0,)) is None
