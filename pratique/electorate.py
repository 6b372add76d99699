"""Who may answer a question, and whether the people who said yes suffice. Pure: a policy's groups come in.

Rules:
- Nobody answers what was asked on their behalf, however their name is spelled.
- People are counted once. Each rule's quorum is met by people who may answer for that rule.
- Who handed a question on has no say in it any more; who got it answers in their place.
- Once a question has escalated, those it escalated to may answer for every rule.
- Who edited a call answers like anybody, but what cannot be undone needs somebody else's yes as well.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from pratique.answers import Need
from pratique.people import ANY_LOCAL, is_member, same_person

Members = Callable[[str], Sequence[str]]
"""Group → who belongs to it."""

PERSON = "person:"
"""What stands before a name where else the name of a group stands (who a question escalates to)."""


class Handed(NamedTuple):
    """One hand-over of a question: who had it, and who has it now."""

    by: str
    to: str


class Electorate(NamedTuple):
    """Who may answer one question.

    Attributes:
        needs: what the rules ask for.
        user: on whose behalf it was asked.
        members: the groups, by the policy in force.
        handed: hand-overs, in order.
        wider: groups, or `person:NAME`, that it has escalated to.
        editor: who edited the call, if somebody did.
        irreversible: whether the call cannot be undone.
    """

    needs: tuple[Need, ...]
    user: str
    members: Members
    handed: tuple[Handed, ...] = ()
    wider: tuple[str, ...] = ()
    editor: str = ""
    irreversible: bool = False

    def why_not(self, person: str) -> str:
        """Return why this person may not answer; nothing if they may."""
        if same_person(person) == same_person(self.user):
            return "it was asked on their behalf"
        onwards = [one.to for one in self.handed if same_person(one.by) == same_person(person)]
        if onwards:
            return f"they handed it to {onwards[-1]}"
        if any(self.counts_for(need, person) for need in self.needs):
            return ""
        return f"they belong to none of: {', '.join(need.approvers for need in self.needs)}"

    def counts_for(self, need: Need, person: str) -> bool:
        """Return whether this person's yes counts for this rule."""
        who = same_person(person)
        if who == same_person(self.user) or any(same_person(one.by) == who for one in self.handed):
            return False
        return self._belongs(need, person) or any(
            same_person(one.to) == who and self._had(need, one.by) and self._may_have(need, person)
            for one in self.handed
        )

    def suffice(self, yes: Sequence[str]) -> bool:
        """Return whether these people's yes is enough."""
        people = distinct(yes)
        others = [one for one in people if same_person(one) != same_person(self.editor)]
        if self.editor and self.irreversible and not any(not self.why_not(one) for one in others):
            return False
        return all(self.yes_for(need, people) >= need.quorum for need in self.needs)

    def yes_for(self, need: Need, yes: Iterable[str]) -> int:
        """Return how many of these people's yes count for this rule."""
        return sum(self.counts_for(need, person) for person in distinct(yes))

    def lacks_after(self, hand_over: Handed) -> str:
        """Return which rule could not be satisfied any more after this hand-over; nothing if all could."""
        after = self._replace(handed=(*self.handed, hand_over))
        for need in self.needs:
            people = (*self.members(need.approvers), *(one.to for one in after.handed))
            left = after.yes_for(need, (one for one in people if one != ANY_LOCAL))
            if ANY_LOCAL not in self.members(need.approvers) and left < need.quorum:
                return f"{need.rule} needs {need.quorum} of {need.approvers}, and {left} would be left"
        return ""

    def may_take(self, person: str) -> bool:
        """Return whether a question may be handed to this person, as far as the groups go."""
        groups = [group for need in self.needs for group in (need.approvers, need.delegates) if group]
        return same_person(person) != same_person(self.user) and any(
            is_member(self.members(group), person) for group in groups
        )

    def _may_have(self, need: Need, person: str) -> bool:
        """Return whether this rule lets its question be handed to this person."""
        group = need.delegates
        return self._belongs(need, person) or (group != "" and is_member(self.members(group), person))

    def _belongs(self, need: Need, person: str) -> bool:
        return is_member(self.members(need.approvers), person) or any(
            _is_meant(name, person, self.members) for name in self.wider
        )

    def _had(self, need: Need, person: str, deepest: int = 16) -> bool:
        """Return whether this person could answer for this rule before they handed it on."""
        if self._belongs(need, person):
            return True
        before = [one.by for one in self.handed if same_person(one.to) == same_person(person)]
        return deepest > 0 and any(self._had(need, one, deepest - 1) for one in before)


def distinct(people: Iterable[str]) -> Collection[str]:
    """Return the people, each once, however their names are spelled."""
    return {same_person(name): name for name in people}.values()


def _is_meant(name: str, person: str, members: Members) -> bool:
    if name.startswith(PERSON):
        return name.removeprefix(PERSON) == person
    return is_member(members(name), person)
