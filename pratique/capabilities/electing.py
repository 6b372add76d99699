"""Who may answer questions by one policy, and not by another: groups have no cells, so `diff` is blind to it.

Rules:
- A member who comes into a group is never a tightening, whoever it is: that change is looked at by a person.
- Whoever puts a policy in force that lets them say yes themselves is named, loudly, and in the record.
"""

from collections.abc import Iterable

from pratique.capabilities.policy import Policy
from pratique.model import Value
from pratique.people import is_member, same_person


class Elected(Value):
    """One group whose members differ: who comes, who goes (a name, `local:*`, a company's `oidc:VALUE`)."""

    group: str
    comes: tuple[str, ...]
    goes: tuple[str, ...]


def elected(before: Policy, after: Policy) -> list[Elected]:
    """Return the groups whose members differ, sorted by name."""
    was, becomes = before.file.groups, after.file.groups
    found = (
        Elected(
            group=group,
            comes=tuple(sorted(set(becomes.get(group, ())) - set(was.get(group, ())))),
            goes=tuple(sorted(set(was.get(group, ())) - set(becomes.get(group, ())))),
        )
        for group in sorted(was.keys() | becomes.keys())
    )
    return [one for one in found if one.comes or one.goes]


def elects(changes: Iterable[Elected], person: str) -> list[str]:
    """Return the groups that this person comes into."""
    return [
        one.group
        for one in changes
        if is_member(one.comes, person) or same_person(person) in map(same_person, one.comes)
    ]
