"""Digests for the webhook: sent after a change, each change once, and again after a failure."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.error import HTTPError

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from etl.cli import main
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.errors import NotDelivered
from etl.load.accounts import enabled_accounts, ensure_account
from etl.monitor import webhook
from etl.monitor.webhook import Webhook, WebhookSender
from etl.scheduler.service import FinishedRun
from etl.sync import RunOptions, RunResult, sync_account
from tests.support.lists import START, FakeSource, item

LIST = [item(number, track_title=f"Track {number}") for number in range(1, 31)]


class Hook:
    """A webhook that stores what it receives, or fails while ``is_down``."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.is_down = False

    def send(self, url: str, body: bytes, content_type: str) -> None:
        if self.is_down:
            raise HTTPError(url, 503, "no", {}, None)  # type: ignore[arg-type]
        self.received.append(body.decode())


class SyncedAccount:
    """An account and a webhook that receives its digests."""

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        with write_transaction(self.engine) as connection:
            ensure_account(connection, "ada", START)
        with read_transaction(self.engine) as connection:
            (self.account,) = enabled_accounts(connection)
        self.hook = Hook()

    def sync(self, items: list[Any]) -> RunResult:
        """Sync, then send a digest as the scheduler does."""
        report = sync_account(self.engine, self.account, FakeSource(items), RunOptions(concurrency=1))
        sender = WebhookSender(self.engine, Webhook("https://hook.invalid/secret-id", "text", self.hook.send))
        sender.ended(FinishedRun(report))
        sender.close()
        return report


@pytest.fixture
def synced(database_url: str) -> Any:
    made = SyncedAccount(database_url)
    yield made
    made.engine.dispose()


def test_each_change_is_sent_once(synced: SyncedAccount) -> None:
    synced.sync(LIST)
    synced.sync(LIST)
    synced.sync([item(99, track_title="Brand new"), *LIST])
    first, second = synced.hook.received
    assert "30 favourites were there" in first
    assert "1 added" in second
    assert "Brand new" in second


def test_an_undelivered_digest_is_sent_with_the_next_change(
    synced: SyncedAccount, capfd: pytest.CaptureFixture[str]
) -> None:
    synced.sync(LIST)
    synced.hook.is_down = True
    synced.sync([item(98, track_title="While it was down"), *LIST])
    said = capfd.readouterr().err
    assert "digest not delivered" in said
    assert "secret-id" not in said
    synced.hook.is_down = False
    synced.sync([item(99, track_title="When it was back"), item(98, track_title="While it was down"), *LIST])
    assert "2 added" in synced.hook.received[-1]


class ImmediateOutbox:
    """An outbox without a thread and a queue."""

    def __init__(self, _name: str, deliver: Callable[[Any], None], **_words: str) -> None:
        self._deliver = deliver

    def __class_getitem__(cls, _kind: object) -> type[ImmediateOutbox]:
        return cls

    def put(self, each: Any) -> None:
        with suppress(NotDelivered):
            self._deliver(each)


def test_an_undelivered_digest_is_sent_after_an_unchanged_run(
    synced: SyncedAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "Outbox", ImmediateOutbox)
    sender = WebhookSender(synced.engine, Webhook("https://hook.invalid/secret-id", "text", synced.hook.send))

    def run(items: list[Any], *, is_down: bool = False) -> None:
        synced.hook.is_down = is_down
        sender.ended(
            FinishedRun(sync_account(synced.engine, synced.account, FakeSource(items), RunOptions(concurrency=1)))
        )

    grown = [item(98, track_title="While it was down"), *LIST]
    run(LIST)
    run(grown, is_down=True)
    run(grown)
    run(grown)
    assert ["While it was down" in sent for sent in synced.hook.received] == [False, True]


def test_an_undelivered_first_digest_is_sent_later(synced: SyncedAccount) -> None:
    synced.hook.is_down = True
    synced.sync(LIST)
    synced.sync([item(98, track_title="While it was down"), *LIST])
    synced.hook.is_down = False
    synced.sync([item(99, track_title="When it was back"), item(98, track_title="While it was down"), *LIST])
    (sent,) = synced.hook.received
    assert "30 favourites were there" in sent
    assert "2 added" in sent


def test_changed_attributes_alone_send_nothing(synced: SyncedAccount) -> None:
    synced.sync(LIST)
    renamed = [item(1, track_title="Another title"), *LIST[1:]]
    assert synced.sync(renamed).changed == 1
    assert len(synced.hook.received) == 1
    synced.sync([item(99), *renamed])
    assert "Track 1 → Another title" in synced.hook.received[-1]


def test_held_removals_are_sent(synced: SyncedAccount) -> None:
    synced.sync(LIST)
    assert synced.sync(LIST[:5]).held == 25
    assert "Waiting for approval" in synced.hook.received[-1]


def test_the_verb_sends_to_the_webhook_of_the_settings(
    synced: SyncedAccount, database_url: str, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    got: list[Any] = []

    def answer(request: Request) -> Response:
        got.append(request.get_json())
        return Response(status=204 if len(got) > 1 else 404)

    httpserver.expect_request("/hook/secret-id", method="POST").respond_with_handler(answer)
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", database_url)
    assert main(["digest", "--send"]) == 2
    assert "FAVSYNC_DIGEST_URL is not set" in capsys.readouterr().err
    monkeypatch.setenv("FAVSYNC_DIGEST_URL", httpserver.url_for("/hook/secret-id"))
    sync_account(synced.engine, synced.account, FakeSource(LIST), RunOptions(concurrency=1))
    assert main(["digest", "--send"]) == 3
    said = capsys.readouterr().err
    assert "did not accept the digest of ada: HTTP 404" in said
    assert "secret-id" not in said
    assert main(["digest", "--send"]) == 0
    assert main(["digest", "--send"]) == 0
    assert capsys.readouterr().err == "ada: sent\nada: no changes\n"
    assert [each["text"].split(":")[0] for each in got] == ["*ada", "*ada"]
    assert main(["digest", "--send", "--peek"]) == 2


def test_held_removals_are_sent_again_only_if_they_differ(synced: SyncedAccount) -> None:
    synced.sync(LIST)
    for favourites in (LIST[:5], LIST[:5], LIST[:4], LIST, LIST[:4], LIST[:4]):
        synced.sync(favourites)
    waiting = ["Waiting for approval" in sent for sent in synced.hook.received]
    assert waiting == [False, True, True, True]
    assert "26 removals seen by run 6" in synced.hook.received[-1]


def test_held_removals_are_sent_until_they_are_delivered(synced: SyncedAccount) -> None:
    synced.sync(LIST)
    synced.hook.is_down = True
    synced.sync(LIST[:5])
    synced.hook.is_down = False
    synced.sync(LIST[:5])
    assert "Waiting for approval" in synced.hook.received[-1]


@pytest.mark.parametrize("kind", ["chat", "discord"])
def test_the_verb_prints_a_chat_message(
    synced: SyncedAccount, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: Any, kind: str
) -> None:
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", database_url)
    synced.sync(LIST)
    assert main(["digest", "--format", kind]) == 0
    (words,) = [value for name, value in json.loads(capsys.readouterr().out).items() if name in ("text", "content")]
    assert "30 favourites were there" in words
