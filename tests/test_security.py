"""Secrets: favsync prints and writes none, and sends them to the service only."""

from __future__ import annotations

import http.server
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from etl.boomplay import payloads
from etl.sandbox import Sandbox, faults
from tests.conftest import NewDatabase
from tests.support.commands import run_command
from tests.support.database import favsync, settings
from tests.support.tls import self_signed

MARKERS = {
    "BOOMPLAY_APP_SECRET": "marker-app-secret-7c1f",
    "BOOMPLAY_REFRESH_TOKEN": "marker-refresh-token-2b9d",
    "FAVSYNC_ENCRYPTION_KEY": Fernet.generate_key().decode(),
}
SYNCS = [
    "sync",
    "sync --debug --log-level debug",
    "sync --debug --log-format json",
    "sync --json",
    "sync --plan",
]
COMMANDS = [
    *SYNCS,
    "config",
    "runs list",
    "runs show 1",
    "runs show 2 --json",
    "accounts list",
    "accounts check",
    "status",
    "doctor",
    "doctor --debug",
    "rebuild --check",
    "report current-favourites",
    "report runs --format csv",
    "report favourite-history --format json",
    "report html -o {folder}/report.html",
    "export --to {folder}/export --format csv",
    "sync --no-such-option",
    "as-of nonsense",
]


Secrets = tuple[dict[str, str], list[str]]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(tracks=60, seed=33) as running:
        yield running


@pytest.fixture
def secret_settings(sandbox: Sandbox, new_database: NewDatabase, tmp_path: Path) -> Secrets:
    """Return an environment full of secrets, and the secrets."""
    environ = settings(sandbox, new_database("sqlite"), HOME=str(tmp_path), **MARKERS)
    return environ, [sandbox.users["ada"].access_token, *MARKERS.values()]


def found_in(secrets: list[str], said: str | bytes) -> list[str]:
    as_bytes = said if isinstance(said, bytes) else said.encode("utf-8", "surrogateescape")
    return [secret for secret in secrets if secret.encode() in as_bytes]


def assert_no_file_holds(secrets: list[str], folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not [(path.name, found) for path in files if (found := found_in(secrets, path.read_bytes()))]


def test_no_command_says_a_secret_and_no_file_holds_one(
    secret_settings: Secrets, sandbox: Sandbox, tmp_path: Path
) -> None:
    environ, secrets = secret_settings
    token = secrets[0].encode()
    echoes = [
        None,
        faults.answer(b'{"desc":"the token %s is bad","code":1,"data":null}' % token),
        faults.answer(b'{"desc":"Authorization: Bearer %s","code":401,"data":null}' % token, status=401),
        faults.answer(b'{"desc":"%s","code":5,"data":null}' % token, status=500),
        faults.answer(b"<html>Bearer %s</html>" % token, "text/html"),
        faults.redirect(f"http://elsewhere.example.invalid/?access_token={secrets[0]}"),
        faults.answer(b'{"desc":null,"code":"%s","data":[]}' % token),
    ]
    for echo in echoes:
        for words in COMMANDS if echo is None else SYNCS if echo is echoes[1] else SYNCS[:3]:
            sandbox.script([echo] * 40 if echo else [])
            result = run_command(environ, *words.format(folder=tmp_path).split())
            sandbox.scripted.clear()
            assert found_in(secrets, result.stdout + result.stderr) == [], (words, echo)
            assert result.returncode != 70, result.stderr
            if echo and words == "sync":
                assert result.returncode in (3, 4)
    assert_no_file_holds(secrets, tmp_path)


def test_a_token_that_is_kept_in_the_database_is_encrypted(secret_settings: Secrets, tmp_path: Path) -> None:
    environ, _ = secret_settings
    token = environ.pop("BOOMPLAY_ACCESS_TOKEN")
    added = run_command(environ, "accounts", "add", "ada", stdin=token + "\n")
    assert added.returncode == 0, added.stderr
    result = run_command(environ, "sync", "ada", "--debug")
    assert result.returncode == 0, result.stderr
    assert found_in([token], added.stdout + added.stderr + result.stdout + result.stderr) == []
    assert_no_file_holds([token], tmp_path)


def test_process_list_has_no_secret_and_core_files_are_off(secret_settings: Secrets, sandbox: Sandbox) -> None:
    environ, secrets = secret_settings
    shown: list[bytes] = []
    core_sizes: list[str] = []

    def look(_request: object) -> None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                shown.append(path.read_bytes())
                if b"favsync\0sync" in shown[-1]:
                    (limit,) = [line for line in (path.parent / "limits").read_text().splitlines() if "core" in line]
                    core_sizes.append(limit.split()[4])
            except OSError:
                continue

    sandbox.before_request = look
    allowed = resource.getrlimit(resource.RLIMIT_CORE)[1]
    without_limit = partial(resource.setrlimit, resource.RLIMIT_CORE, (allowed, allowed))
    assert favsync(environ, "sync", preexec_fn=without_limit).returncode == 0
    assert set(core_sizes) == {"0"}
    assert found_in(secrets, b"\n".join(shown)) == []


@pytest.mark.parametrize("words", [["sync"], ["sync", "--debug"], ["sync", "--debug", "--log-format", "json"]])
def test_crash_report_has_the_place_but_no_secret(
    secret_settings: Secrets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    environ, secrets = secret_settings

    def buggy(*_: object) -> None:
        raise RuntimeError(f"unforeseen: Authorization: Bearer {secrets[0]}, secret {secrets[1]}")

    monkeypatch.setattr(payloads, "page", buggy)
    done = run_command(environ, *words)
    assert done.returncode == 70
    assert "unforeseen" in done.stderr
    assert ("Traceback" in done.stderr) == ("--debug" in words)
    assert found_in(secrets, done.stdout + done.stderr) == []
    assert_no_file_holds(secrets, tmp_path)


@pytest.mark.parametrize(
    "address",
    [
        "http://openapi.boomplay.com",
        "http://10.0.0.1:8080",
        "http://127.0.0.1.example.invalid",
        "http://localhost@example.invalid",
        "http://example.invalid/#@127.0.0.1",
        "http://0.0.0.0:80",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "127.0.0.1:80",
    ],
)
def test_token_is_never_sent_without_tls(secret_settings: Secrets, address: str) -> None:
    environ, secrets = secret_settings
    result = run_command({**environ, "BOOMPLAY_API_URL": address}, "sync")
    assert result.returncode == 2, result.stderr
    assert "BOOMPLAY_API_URL" in result.stderr
    assert found_in(secrets, result.stderr) == []


@contextmanager
def server_with_tls(answer: Callable[[Any], None], host: str, folder: Path) -> Iterator[tuple[int, Path]]:
    """Serve HTTPS with a self-signed certificate for ``host``; yield the port and the certificate."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass

    certificate, context = self_signed(folder, host)
    with Quiet(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, certificate
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("host", "is_trusted", "code"), [("localhost", False, 3), ("other", True, 3), ("localhost", True, 0)]
)
def test_a_token_goes_only_to_a_server_whose_certificate_holds(
    secret_settings: Secrets, tmp_path: Path, host: str, is_trusted: bool, code: int
) -> None:
    environ, _ = secret_settings
    tokens: list[str | None] = []

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        tokens.append(request.headers["Authorization"])
        is_list = "favourite" in request.path
        body = b'{"code":0,"data":[]}' if is_list else b'{"code":0,"data":{"user_id":"u"}}'
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    with server_with_tls(answer, host, tmp_path) as (port, certificate):
        environ["BOOMPLAY_API_URL"] = f"https://localhost:{port}"
        if is_trusted:
            environ["SSL_CERT_FILE"] = str(certificate)
        result = run_command(environ, "sync")
    assert result.returncode == code, result.stderr
    assert bool(tokens) is (code == 0)
    assert code == 0 or "CERTIFICATE_VERIFY_FAILED" in result.stderr
