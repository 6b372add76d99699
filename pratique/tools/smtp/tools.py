"""The tool that sends mail through an SMTP server: `mail.send`.

Rules:
- What was approved is what is handed in: the message is composed from the arguments alone.
- The sender is the user for whom the agent acts.
- The Message-ID follows from the call and what it says, so a repeat can be recognised, by people and servers.
- It is not idempotent, unless the host vouches for its server.
"""

from datetime import UTC, datetime
from typing import Any

from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool
from pratique.tools.email_writing import (
    Body,
    CopyRecipients,
    Letter,
    MessageId,
    Recipients,
    Subject,
    compose,
    preview_letter,
    sender_of,
)
from pratique.tools.smtp.account import SmtpAccount
from pratique.tools.smtp.delivery import Envelope, Refusal, deliver

TIMEOUT = 120.0


def smtp_tools(account: SmtpAccount) -> tuple[Tool, ...]:
    """Return `mail.send` for an account.

    Args:
        account: where mail is handed in. The host gives the secret that it names.

    Raises:
        ToolDeclarationError: its CA file cannot be used.
    """
    trust = account.trust()

    @tool(
        "mail.send",
        tier="irreversible",
        confidentiality="internal",
        sources={"*": "meta", "refused[].address": "identity", "refused[].reason": "untrusted"},
        sinks={
            "to": "dest",
            "cc": "dest",
            "subject": "content",
            "body": "content",
            "in_reply_to": "selector",
        },
        hosts=(account.address,),
        secrets=(account.secret,) if account.secret is not None else (),
        takes_idempotency_key=account.drops_repeats,
        timeout=TIMEOUT,
        preview=preview_letter,
    )
    async def send_message(
        ctx: ToolContext,
        to: Recipients,
        subject: Subject,
        body: Body,
        cc: CopyRecipients = (),
        in_reply_to: MessageId | None = None,
    ) -> dict[str, Any]:
        """Send a message. `in_reply_to` is the `message_id` of the message that it answers.

        When the mail server takes it for some of the recipients only, the others are in `refused`.
        """
        letter = Letter(sender_of(ctx.user), to, cc, subject, body, in_reply_to)
        composed = compose(letter, session=ctx.session, call_id=ctx.call_id, now=datetime.now(UTC))
        recipients = tuple(dict.fromkeys((*to, *cc)))
        password = ctx.secret(account.secret) if account.secret is not None else None
        envelope = Envelope(letter.sender, recipients, composed.content)
        refused = await deliver(account, trust, password, envelope)
        return _outcome(composed.message_id, len(recipients) - len(refused), refused)

    return (send_message,)


def _outcome(message_id: str, taken: int, refused: list[Refusal]) -> dict[str, Any]:
    return {
        "status": "sent in part" if refused else "sent",
        "message_id": message_id,
        "recipients": taken,
        "refused": [refusal._asdict() for refusal in refused],
    }
