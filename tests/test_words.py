"""Promise: a copy of a value is what Pydantic would have made of it, and the original stays what it was."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from pratique.model import CLEAN, Confidentiality, Label, Outcome, Status

OUTCOME = Outcome(call_id="c1", tool="desk.note", status=Status.DONE, value={"page": [1, 2]})


@pytest.mark.parametrize(
    "update", [None, {}, {"record": 7}, {"label": Label(sources=frozenset({"email:7"})), "status": "unknown"}]
)
@pytest.mark.parametrize("deep", [False, True])
def test_a_copy_is_what_pydantic_makes(update: dict[str, Any] | None, *, deep: bool) -> None:
    before = OUTCOME.model_dump()
    ours = OUTCOME.model_copy(update=update, deep=deep)
    theirs = BaseModel.model_copy(OUTCOME, update=update, deep=deep)
    assert ours == theirs
    assert vars(ours) == vars(theirs)
    assert ours.model_fields_set == theirs.model_fields_set
    assert ours.model_dump(warnings=False) == theirs.model_dump(warnings=False)
    assert (ours.value is OUTCOME.value) is not deep
    assert OUTCOME.model_dump() == before
    assert OUTCOME.model_fields_set == {"call_id", "tool", "status", "value"}


def test_a_copy_is_frozen_too() -> None:
    copy = CLEAN.model_copy(update={"confidentiality": Confidentiality.RESTRICTED})
    with pytest.raises(ValidationError):
        copy.confidentiality = Confidentiality.PUBLIC  # type: ignore[misc]  # it is frozen
    assert CLEAN.confidentiality is Confidentiality.PUBLIC
