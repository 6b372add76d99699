"""Was every step allowed when it was made? The history of a log, held against the laws of its records.

The chain says that nothing was changed. It does not say that what was written was true to the rules: whoever
can write the database can forge a state, let a runtime act on it, and put the state back. What the runtime
wrote meanwhile stays in the log, and breaks a law.

Rules:
- Records are judged one by one, in order; memory grows with what is open (`pratique.audit.standing`).
- A record that lacks what its law looks at is illegal, and so is a type of record that has no law.
- What lies beside the log (policies, whom a question was asked for) is looked at if it is there. Without it
  membership, limits of exceptions and votes on one's own request cannot be checked.
"""

from collections.abc import Iterable, Iterator, Mapping

from pratique.audit.laws import LAWS
from pratique.audit.standing import Beside, Law, Record, Standing
from pratique.model import Value


class Illegal(Value):
    """A record that the laws did not allow where it stands, and why, in one line."""

    seq: int
    type: str
    problem: str


class Legality:
    """Judges the records of one log, from the first one on.

    Args:
        beside: what lies beside the log.
        laws: type of record → its law.
    """

    def __init__(self, beside: Beside | None = None, laws: Mapping[str, Law] = LAWS) -> None:
        self.standing = Standing(beside)
        self._laws = laws

    def judge(self, record: Record) -> list[Illegal]:
        """Return everything that is illegal about the next record."""
        kind = str(record.get("type", ""))
        law = self._laws.get(kind)
        if law is None:
            problems = [f"no law is known for a record of type {kind!r}"]
        else:
            problems = []
            try:
                problems.extend(law(self.standing, record))
            except (KeyError, TypeError, AttributeError, ValueError) as lacking:
                problems.append(f"it lacks what its law looks at ({type(lacking).__name__}: {lacking})")
        return [Illegal(seq=int(record.get("seq", 0)), type=kind, problem=problem) for problem in problems]


def illegal(records: Iterable[Record], beside: Beside | None = None) -> Iterator[Illegal]:
    """Yield everything that is illegal in the history of a log.

    Args:
        records: all of them, in order.
        beside: what lies beside the log.
    """
    legality = Legality(beside)
    for record in records:
        yield from legality.judge(record)
