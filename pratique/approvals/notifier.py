"""Sends what is in the outbox, and lets clocks that have run out take effect: a loop that a server runs.

Rules:
- Whatever fails is tried again later; a channel that is down is left alone until the next round.
- It never stops for one notice, and what it cannot record it does not send.
"""

from collections.abc import Sequence
from typing import NamedTuple

import anyio
import anyio.to_thread
import structlog

from pratique.approvals.channels import Channel, NotSentError
from pratique.approvals.channels.mail import addresses
from pratique.approvals.clocks import sweep
from pratique.approvals.notices import Due, Outbox
from pratique.errors import LedgerCorruptError, LedgerError
from pratique.ledger.door import Ledger

log = structlog.get_logger("pratique")

PAUSE_SECONDS = 2.0


class Round(NamedTuple):
    """What one round did."""

    expired: int = 0
    escalated: int = 0
    sent: int = 0
    failed: int = 0


class Notifier:
    """Sweeps and sends.

    Args:
        ledger: where everything is.
        outbox: what has to be told.
        channels: where to; none: then it only sweeps.
    """

    def __init__(self, ledger: Ledger, outbox: Outbox, channels: Sequence[Channel] = ()) -> None:
        self._ledger, self._outbox, self._channels = ledger, outbox, channels

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self.once()
            except LedgerError as problem:
                log.warning("notifier", problem=str(problem))
            await anyio.sleep(PAUSE_SECONDS)

    async def once(self) -> Round:
        """Do all that is due now.

        Raises:
            LedgerError: the ledger cannot be used.
        """
        swept = await anyio.to_thread.run_sync(sweep, self._ledger)
        sent = failed = 0
        for channel in self._channels:
            done, not_done = await self._empty(channel)
            sent, failed = sent + done, failed + not_done
        return Round(swept.expired, swept.escalated, sent, failed)

    async def _empty(self, channel: Channel) -> tuple[int, int]:
        """Send what is due on one channel; return how many were taken and how many were not."""
        sent = failed = 0
        for due in await anyio.to_thread.run_sync(self._outbox.due, channel.name, channel.events):
            claimed = await anyio.to_thread.run_sync(self._outbox.claim, due)
            if claimed is None:
                continue
            try:
                await self._send(channel, claimed)
            except NotSentError as problem:
                failed += 1
                await anyio.to_thread.run_sync(self._not_sent, claimed, problem)
                if problem.channel_is_down:
                    break
            else:
                sent += 1
                await anyio.to_thread.run_sync(self._outbox.sent, claimed)
        return sent, failed

    async def _send(self, channel: Channel, due: Due) -> None:
        people: tuple[str, ...] = ()
        if channel.wants_people:
            try:
                people = addresses(await anyio.to_thread.run_sync(self._outbox.addressees, due))
            except LedgerCorruptError as problem:
                raise NotSentError(str(problem), for_good=True) from problem
            if not people:
                return
        await channel.send(due, people)

    def _not_sent(self, due: Due, problem: NotSentError) -> None:
        given_up = self._outbox.failed(due, str(problem), for_good=problem.for_good)
        about = {"channel": due.channel, "notice": due.notice.id, "attempts": due.attempts}
        log.warning("notice not sent", problem=str(problem), given_up=given_up, **about)
