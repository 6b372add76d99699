"""The names that models know tools by: no two are one, and no name takes the other tools away."""

from pratique import ToolSpec
from pratique.adapters.executor import LONGEST_NAME, Offer
from pratique.model import Tier


def offered(*names: str) -> dict[str, str]:
    """Return what each tool is offered as → its own name."""
    facts = {"description": "", "parameters": {}, "tier": Tier.READ, "digest": "d"}
    return {
        name: spec.name for name, spec in Offer(ToolSpec(name=one, **facts) for one in names).tools.items()
    }


def test_two_tools_whose_names_would_be_one_are_told_apart_and_the_others_stay() -> None:
    found = offered("mail.read", "files.a.b", "files.a_b")
    assert found["mail_read"] == "mail.read"
    assert sorted(found.values()) == ["files.a.b", "files.a_b", "mail.read"]
    assert "files_a_b" not in found, "neither of them: which one is meant is not a guess"


def test_a_name_that_is_cut_says_which_it_was() -> None:
    found = offered("files." + "x" * 90 + "1", "files." + "x" * 90 + "2")
    assert len(found) == 2
    assert {len(name) for name in found} == {LONGEST_NAME}


def test_what_would_be_the_same_all_the_same_is_left_out_alone() -> None:
    twin = next(name for name, own in offered("files.a.b", "files.a_b").items() if own == "files.a.b")
    found = offered("mail.read", "files.a.b", "files.a_b", twin.replace("files_", "files.", 1))
    assert "mail_read" in found
    assert twin not in found
