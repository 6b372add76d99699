"""`mail.attachment`: the text of one attachment, for those who want it. Nothing registers it by itself.

Rules:
- It is a tool of its own, because it needs a jail: where this machine gives none, the start says so, and
  `mail.read` goes on giving names, types and sizes only.
- Everything it gives but numbers and `problems` is the sender's.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from pratique.errors import ToolError
from pratique.model import Level, Tier
from pratique.tools import email_reading
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool
from pratique.tools.mailbox import MessageRef
from pratique.tools.mailbox_tools import Use
from pratique.tools.pdf_text import MOST_TEXT, SECONDS, pdf_text

SOURCES = {
    "id": "meta:message",
    "number": "meta",
    "bytes": "meta",
    "pages": "meta",
    "problems": "meta",
}


def attachment_tool(
    use: Use,
    *,
    paths: Mapping[str, Literal["read", "write"]] | None = None,
    hosts: Iterable[str] = (),
    secrets: Iterable[str] = (),
    runs_in: Level = Level.JAIL,
) -> Tool:
    """Return `mail.attachment` on one kind of mailbox.

    Args:
        use: how to open it.
        paths: the file roots that it needs.
        hosts: the servers that it needs. A tool with hosts and a sandbox is egress, although this sandbox
            reaches none of them.
        secrets: the names of the secrets that it needs.
        runs_in: where the file is read, at least.
    """
    reach = tuple(hosts)

    @tool(
        "mail.attachment",
        tier=Tier.EGRESS if reach else Tier.READ,
        confidentiality="confidential",
        sources=SOURCES,
        ids={"": "email:{id}"},
        sinks={"id": "selector:message"},
        paths=paths,
        hosts=reach,
        secrets=tuple(secrets),
        runs_in=runs_in,
        timeout=2 * SECONDS,
        result_limit=8 * MOST_TEXT,
    )
    async def read_attachment(
        ctx: ToolContext,
        id: MessageRef,  # noqa: A002  # the argument's public name
        number: Annotated[int, Field(ge=0, lt=email_reading.MOST_ATTACHMENTS)],
    ) -> dict[str, Any]:
        """Read an attachment's text: PDF, HTML or plain. `number` counts from 0, as `mail.read` lists."""
        found = await use(ctx, lambda mailbox: email_reading.attached(mailbox.read(id).content, number))
        if found is None:
            raise ToolError(f"{id} has no attachment number {number}")
        text, pages, problems = found.text, 0, list(found.problems)
        if found.type == "application/pdf" or found.data.startswith(b"%PDF-"):
            text, pages, told = await pdf_text(ctx, found.data)
            problems += told
        elif not found.is_text:
            problems.append("its text was not extracted: it is no PDF, HTML or plain text")
        about = {"id": id, "number": number, "name": found.name, "type": found.type, "bytes": len(found.data)}
        return {**about, "pages": pages, "text": text, "problems": problems}

    return read_attachment
