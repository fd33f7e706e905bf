"""Telling a webhook what changed, after a sync that changed something.

The channel ``webhook`` has its own cursor (`digest_cursor`), which moves when the webhook has taken the digest: so what
could not be delivered is told after the next run (after a restart, with the next change), and nothing is told twice: removals
that go on waiting for a person's word, which each run holds anew, are told once. A run that failed, or that changed facts of
tracks alone, sends nothing; the next digest tells of it.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from etl import clock
from etl.db.engine import read_transaction, write_transaction
from etl.errors import NotDelivered
from etl.load.accounts import Account, find_accounts
from etl.monitor.outbox import Outbox, describe, post
from etl.reporting.digest import Digest, DigestRange, digest
from etl.reporting.digest_cursor import Cursor, cursor_of, is_reported_hold, newest_cursor, set_cursor
from etl.reporting.digest_webhook import payload
from etl.scheduler.service import FinishedRun

CHANNEL = "webhook"
Send = Callable[[str, bytes, str], None]


class WebhookSender:
    """Tells one webhook, from a thread of its own, of accounts whose list changed. Close it to tell the last of it."""

    def __init__(self, engine: Engine, url: str, kind: str, send: Send = post) -> None:
        self._engine, self._url, self._kind, self._send = engine, url, kind, send
        self._owed: set[str] = set()
        self._outbox = Outbox[tuple[str, int, bool]](
            "favsync-digest",
            self._tell,
            trouble="the digest's webhook cannot be told; the next digest tells it too",
            full="a digest waits for the next one: the webhook answers too slowly",
        )

    def ended(self, ran: FinishedRun) -> None:
        """Have the webhook told, if the list changed by this run, removals wait for a person's word, or it is owed a digest."""
        report = ran.report
        has_changes = bool(report.added or report.removed or report.account in self._owed)
        if report.run_id is not None and (has_changes or report.held):
            self._outbox.put((report.account, report.run_id, has_changes))

    def close(self) -> None:
        """Tell what waits."""
        self._outbox.close()

    def _tell(self, changed: tuple[str, int, bool]) -> None:
        name, run_id, has_changes = changed
        with read_transaction(self._engine) as connection:
            (account,) = find_accounts(connection, [name])
            former = cursor_of(connection, account.account_id, CHANNEL)
            if not has_changes and is_reported_hold(connection, account.account_id, former, run_id):
                return
        if former is None:  # before it is tried: if the webhook does not take it, the next digest begins here too
            with write_transaction(self._engine) as connection:
                set_cursor(connection, account.account_id, CHANNEL, Cursor(run_id - 1, None, clock.now()))
        try:
            send(self._engine, account, self._url, self._kind, DigestRange(after_run=run_id - 1), self._send)
        except NotDelivered:
            self._owed.add(name)
            raise
        self._owed.discard(name)


def send(engine: Engine, account: Account, url: str, kind: str, first: DigestRange, send: Send = post) -> bool:
    """Tell the webhook what changed in ``account`` since it was last told, and return whether there was anything.

    ``first``: where the first digest ever begins.

    Raises:
        NotDelivered: the webhook did not take it.
    """
    found = _due(engine, account, first)
    if found is None:
        return False
    told, mark = found
    content_type, body = payload(kind, told)
    try:
        send(url, body, content_type)
    except OSError as error:
        raise NotDelivered(
            f"the webhook of FAVSYNC_DIGEST_URL did not take the digest of {account.name}: {describe(error)}",
            remedy="check its address and FAVSYNC_DIGEST_FORMAT; nothing is lost, the next digest tells it too",
        ) from error
    with write_transaction(engine) as connection:
        set_cursor(connection, account.account_id, CHANNEL, mark)
    return True


def _due(engine: Engine, account: Account, first: DigestRange) -> tuple[Digest, Cursor] | None:
    """Return what is to be told, and the mark that it reaches; None where there is nothing."""
    with read_transaction(engine) as connection:
        reached = newest_cursor(connection, account.account_id, clock.now())
        if reached is None:
            return None
        former = cursor_of(connection, account.account_id, CHANNEL)
        since = DigestRange(after_run=former.run_id, held_run=former.held_run_id) if former else first
        told = digest(connection, account.name, since)
    return (told, reached) if told.has_news else None
