"""A declaration that could not be called as it reads is refused when it is made."""

from typing import Any

import pytest

from pratique.errors import ToolDeclarationError
from pratique.tools.context import ToolContext
from pratique.tools.declaration import tool


async def only_by_name(ctx: ToolContext, *, text: str) -> Any:
    return ctx, text


async def only_by_place(ctx: ToolContext, text: str, /) -> Any:
    return ctx, text


async def any_names(ctx: ToolContext, **texts: str) -> Any:
    return ctx, texts


@pytest.mark.parametrize("function", [only_by_name, only_by_place, any_names])
def test_a_parameter_that_the_runtime_could_not_pass_is_refused(function: Any) -> None:
    with pytest.raises(ToolDeclarationError, match="cannot be declared"):
        tool("desk.odd", tier="read")(function)
