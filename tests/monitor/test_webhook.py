"""A webhook is told what changed: after a sync that changed something, each thing once, and late rather than never."""

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
from etl.load.baseline import find_accounts
from etl.load.runs import ensure_account
from etl.monitor import webhook
from etl.monitor.webhook import WebhookSender
from etl.scheduler.service import FinishedRun
from etl.sync import RunOptions, RunResult, sync_account
from tests.support.lists import START, FakeSource, item

LIST = [item(number, track_title=f"Track {number}") for number in range(1, 31)]


class Hook:
    """A receiver that remembers what it was told, and may be out of order."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.is_down = False

    def send(self, url: str, body: bytes, content_type: str) -> None:
        if self.is_down:
            raise HTTPError(url, 503, "no", {}, None)  # type: ignore[arg-type]
        self.told.append(body.decode())


class Stage:
    """An account, its list, and a hook that is told of its runs."""

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        with write_transaction(self.engine) as connection:
            ensure_account(connection, "ada", START)
        with read_transaction(self.engine) as connection:
            (self.account,) = find_accounts(connection)
        self.hook = Hook()

    def sync(self, items: list[Any]) -> RunResult:
        """Sync, and let the hook be told as the schedule does."""
        report = sync_account(self.engine, self.account, FakeSource(items), RunOptions(concurrency=1))
        teller = WebhookSender(self.engine, "https://hook.invalid/secret-id", "text", self.hook.send)
        teller.ended(FinishedRun(report))
        teller.close()
        return report


@pytest.fixture
def stage(database_url: str) -> Any:
    made = Stage(database_url)
    yield made
    made.engine.dispose()


def test_each_change_is_told_once_and_a_sync_without_one_tells_nothing(stage: Stage) -> None:
    stage.sync(LIST)
    stage.sync(LIST)
    stage.sync([item(99, track_title="Brand new"), *LIST])
    first, second = stage.hook.told
    assert "30 favourites were there" in first
    assert "1 added" in second
    assert "Brand new" in second


def test_what_could_not_be_delivered_is_told_with_the_next_change(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.sync(LIST)
    stage.hook.is_down = True
    stage.sync([item(98, track_title="While it was down"), *LIST])
    said = capfd.readouterr().err
    assert "webhook cannot be told" in said
    assert "secret-id" not in said
    stage.hook.is_down = False
    stage.sync([item(99, track_title="When it was back"), item(98, track_title="While it was down"), *LIST])
    assert "2 added" in stage.hook.told[-1]


class AtOnce:
    """An outbox without a thread: what is put in it is delivered, or not, before the next step."""

    def __init__(self, _name: str, deliver: Callable[[Any], None], **_words: str) -> None:
        self._deliver = deliver

    def __class_getitem__(cls, _kind: object) -> type[AtOnce]:
        return cls

    def put(self, each: Any) -> None:
        with suppress(NotDelivered):
            self._deliver(each)


def test_what_could_not_be_delivered_is_told_after_the_next_run_though_nothing_changed_by_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "Outbox", AtOnce)
    teller = WebhookSender(stage.engine, "https://hook.invalid/secret-id", "text", stage.hook.send)

    def run(items: list[Any], *, is_down: bool = False) -> None:
        stage.hook.is_down = is_down
        teller.ended(
            FinishedRun(sync_account(stage.engine, stage.account, FakeSource(items), RunOptions(concurrency=1)))
        )

    grown = [item(98, track_title="While it was down"), *LIST]
    run(LIST)
    run(grown, is_down=True)
    run(grown)
    run(grown)
    assert ["While it was down" in told for told in stage.hook.told] == [False, True]


def test_what_the_first_digest_of_all_could_not_deliver_is_told_too(stage: Stage) -> None:
    stage.hook.is_down = True
    stage.sync(LIST)
    stage.sync([item(98, track_title="While it was down"), *LIST])
    stage.hook.is_down = False
    stage.sync([item(99, track_title="When it was back"), item(98, track_title="While it was down"), *LIST])
    (told,) = stage.hook.told
    assert "30 favourites were there" in told
    assert "2 added" in told


def test_facts_alone_send_nothing_but_are_told_with_the_next_change(stage: Stage) -> None:
    stage.sync(LIST)
    renamed = [item(1, track_title="Another title"), *LIST[1:]]
    assert stage.sync(renamed).changed == 1
    assert len(stage.hook.told) == 1
    stage.sync([item(99), *renamed])
    assert "Track 1 → Another title" in stage.hook.told[-1]


def test_removals_that_wait_are_told_since_somebody_must_speak(stage: Stage) -> None:
    stage.sync(LIST)
    assert stage.sync(LIST[:5]).held == 25
    assert "Waiting for your word" in stage.hook.told[-1]


def test_the_verb_sends_to_the_webhook_of_the_settings(
    stage: Stage, database_url: str, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, capsys: Any
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
    sync_account(stage.engine, stage.account, FakeSource(LIST), RunOptions(concurrency=1))
    assert main(["digest", "--send"]) == 3
    said = capsys.readouterr().err
    assert "did not take the digest of ada: HTTP 404" in said
    assert "secret-id" not in said
    assert main(["digest", "--send"]) == 0
    assert main(["digest", "--send"]) == 0
    assert capsys.readouterr().err == "ada: sent\nada: no changes\n"
    assert [each["text"].split(":")[0] for each in got] == ["*ada", "*ada"]
    assert main(["digest", "--send", "--peek"]) == 2


def test_removals_that_go_on_waiting_are_told_once_but_told_again_when_they_are_others(stage: Stage) -> None:
    stage.sync(LIST)
    for favourites in (LIST[:5], LIST[:5], LIST[:4], LIST, LIST[:4], LIST[:4]):
        stage.sync(favourites)
    waiting = ["Waiting for your word" in told for told in stage.hook.told]
    assert waiting == [False, True, True, True]
    assert "26 removals seen by run 6" in stage.hook.told[-1]


def test_removals_that_wait_are_told_until_the_webhook_has_taken_it(stage: Stage) -> None:
    stage.sync(LIST)
    stage.hook.is_down = True
    stage.sync(LIST[:5])
    stage.hook.is_down = False
    stage.sync(LIST[:5])
    assert "Waiting for your word" in stage.hook.told[-1]


@pytest.mark.parametrize("kind", ["chat", "discord"])
def test_the_verb_prints_what_a_chat_would_be_sent(
    stage: Stage, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: Any, kind: str
) -> None:
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", database_url)
    stage.sync(LIST)
    assert main(["digest", "--format", kind]) == 0
    (words,) = [value for name, value in json.loads(capsys.readouterr().out).items() if name in ("text", "content")]
    assert "30 favourites were there" in words
