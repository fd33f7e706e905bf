"""Sends digests to the webhook of the settings after syncs that changed a list.

The channel ``webhook`` has its own cursor, which moves when the webhook has accepted a digest. An undelivered digest is sent
again with the next run (after a restart: with the next change), and nothing is sent twice. Removals that wait for approval are
announced once. Failed runs and changed attributes alone send nothing; the next digest includes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from etl import clock
from etl.db.engine import read_transaction, write_transaction
from etl.errors import NotDelivered
from etl.load.accounts import Account, find_account
from etl.monitor.outbox import Outbox, describe, post
from etl.reporting.digest import (
    Cursor,
    DigestRange,
    cursor_of,
    digest,
    is_reported_hold,
    newest_cursor,
    set_cursor,
)  # fmt: skip
from etl.reporting.digest_text import payload
from etl.scheduler.service import FinishedRun

CHANNEL = "webhook"
Send = Callable[[str, bytes, str], None]


@dataclass(frozen=True)
class Webhook:
    """An address and the ``kind`` of its payload (see `etl.reporting.digest_text.payload`)."""

    url: str
    kind: str
    post: Send = post


class WebhookSender:
    """Sends digests from a background thread. Close it to send what is queued."""

    def __init__(self, engine: Engine, webhook: Webhook) -> None:
        self._engine, self._webhook = engine, webhook
        self._undelivered: set[str] = set()
        self._outbox = Outbox[tuple[str, int, bool]](
            "favsync-digest",
            self._deliver,
            failed="digest not delivered; the next digest includes it",
            dropped="digest postponed: the queue is full",
        )

    def ended(self, finished: FinishedRun) -> None:
        """Queue a digest if the run changed the list or holds removals, or if the last digest was not delivered."""
        result = finished.report
        has_changes = bool(result.added or result.removed or result.account in self._undelivered)
        if result.run_id is not None and (has_changes or result.held):
            self._outbox.put((result.account, result.run_id, has_changes))

    def close(self) -> None:
        """Send what is queued."""
        self._outbox.close()

    def _deliver(self, item: tuple[str, int, bool]) -> None:
        name, run_id, has_changes = item
        with read_transaction(self._engine) as connection:
            account = find_account(connection, name)
            former = cursor_of(connection, account.account_id, CHANNEL)
            if not has_changes and is_reported_hold(connection, account.account_id, former, run_id):
                return
        if former is None:  # stored before the first attempt: if that fails, the next digest begins at this run too
            with write_transaction(self._engine) as connection:
                set_cursor(connection, account.account_id, CHANNEL, Cursor(run_id - 1, None, clock.now()))
        try:
            send(self._engine, account, self._webhook, DigestRange(after_run=run_id - 1))
        except NotDelivered:
            self._undelivered.add(name)
            raise
        self._undelivered.discard(name)


def send(engine: Engine, account: Account, webhook: Webhook, first: DigestRange) -> bool:
    """Send what changed in ``account`` since the last digest, and return whether there was anything.

    ``first``: the range of the first digest of the channel.

    Raises: NotDelivered, where the webhook did not accept it.
    """
    with read_transaction(engine) as connection:
        reached = newest_cursor(connection, account.account_id, clock.now())
        if reached is None:
            return False
        former = cursor_of(connection, account.account_id, CHANNEL)
        since = DigestRange(after_run=former.run_id, held_run=former.held_run_id) if former else first
        found = digest(connection, account.name, since)
    if not found.has_content:
        return False
    content_type, body = payload(webhook.kind, found)
    try:
        webhook.post(webhook.url, body, content_type)
    except OSError as error:
        raise NotDelivered(
            f"the webhook of FAVSYNC_DIGEST_URL did not accept the digest of {account.name}: {describe(error)}",
            remedy="check its address and FAVSYNC_DIGEST_FORMAT; the next digest includes this one",
        ) from error
    with write_transaction(engine) as connection:
        set_cursor(connection, account.account_id, CHANNEL, reached)
    return True
