"""What the API's requests and answers have in common: shapes, problems in the OpenAPI document, cursors."""

from typing import Annotated, Any

from fastapi import Path, Query, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pratique.model import Value, printable
from pratique.server.problems import MEDIA_TYPE

LARGEST = 2**53 - 1


class Body(BaseModel):
    """Base of every request body: unknown members are an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ProblemShape(BaseModel):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


def _utf8(value: Any) -> Any:
    if isinstance(value, str) and printable(value) != value:
        raise ValueError("half of a surrogate pair has no UTF-8 form")
    return value


Text = Annotated[str, BeforeValidator(_utf8)]
Name = Annotated[Text, Field(min_length=1, max_length=254, pattern=r"^\S(.*\S)?$")]
Wait = Annotated[float, Field(ge=0, le=86_400)]
SessionId = Annotated[str, Path(max_length=64, description="The session's id, `s_…`.")]
Ticket = Annotated[str, Path(max_length=64, description="The question's ticket, `t_…`.")]
Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]
After = Annotated[int, Query(ge=0, le=LARGEST, description="The cursor that the page before gave.")]

_TITLES = {
    400: "The request cannot be read.",
    401: "No credential, or none that opens this door.",
    403: "The credential does not permit this.",
    404: "There is no such thing, for this credential.",
    409: "Too late, or not in this state: nothing was changed.",
    410: "It has ended.",
    413: "The request is too large.",
    421: "This server is not called that.",
    422: "The request is not valid.",
    429: "Too much at a time; Retry-After says when to come back.",
    503: "Nothing can be recorded now, so nothing is done.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of these errors, and of those that every route has."""
    every = sorted({400, 413, 421, 422, 429, 503, *statuses})
    return {
        status: {
            "description": _TITLES[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemShape"}}},
        }
        for status in every
    }


def json(value: Value, status: int = 200) -> Response:
    """Return a value as the answer; by Pydantic's own writer, because this is the hot path."""
    return Response(value.model_dump_json(), status, media_type="application/json")
