"""A sandbox that is asked without sockets, and whose clock the test moves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from etl.sandbox import Sandbox, SandboxReply, SandboxRequest, Switches

TRACKS, BY_IDS, USER = "/favourite/v1/tracks", "/track/v1/trackIds", "/user/getUserInfo"
START = datetime(2024, 5, 1, tzinfo=UTC)


class Answer:
    """A reply as a client sees it. ``refusal``: the HTTP status and the made-up code, counted from its base."""

    def __init__(self, reply: SandboxReply) -> None:
        self.reply, self.status, self.headers = reply, reply.status, dict(reply.headers)

    @property
    def json(self) -> Any:
        return json.loads(self.reply.body)

    @property
    def refusal(self) -> tuple[int, int]:
        return self.status, self.json["code"] - 990_000


class Service:
    """The sandbox and a client that is authorised as its first user. Switches may be among the ``options``."""

    def __init__(self, scenario: str | None = None, **options: Any) -> None:
        self.now = START
        switches = {name: options.pop(name) for name in list(options) if name in Switches.__dataclass_fields__}
        self.sandbox = Sandbox(switches=Switches(**switches), now=lambda: self.now, **options)
        self.sandbox.play(scenario)
        self.connection = 1
        self.headers = {"app_id": self.sandbox.app_id}
        self.use(self.sandbox.users["ada"].access_token)

    def use(self, token: str) -> None:
        self.headers["authorization"] = f"Bearer {token}"

    def ask(self, path: str = TRACKS, headers: dict[str, str] | None = None, **query: Any) -> Answer:
        target = f"{path}?{urlencode(query)}" if query else path
        request = SandboxRequest("GET", target, self.headers | (headers or {}), connection=self.connection)
        return Answer(self.sandbox.answer(request))

    def post(self, path: str, body: bytes | None = None, **fields: Any) -> Answer:
        sent = json.dumps(fields).encode() if body is None else body
        return Answer(self.sandbox.answer(SandboxRequest("POST", path, {}, sent)))

    def ids(self, offset: int = 0, limit: int = 50, **headers: str) -> list[int]:
        """Ask for a page and return its ids."""
        return [int(item["track_id"]) for item in self.ask(headers=headers, offset=offset, limit=limit).json["data"]]

    def all(self) -> list[int]:
        return [track_id for offset in range(0, len(self.true_ids), 50) for track_id in self.ids(offset)]

    @property
    def true_ids(self) -> list[int]:
        return self.sandbox.favourites("ada")
