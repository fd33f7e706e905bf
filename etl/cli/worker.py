"""``favsync worker``, ``enqueue`` and ``workers``: many processes that sync the due accounts of one database."""

from __future__ import annotations

import os
import signal
import subprocess  # nosec B404
import sys
import threading
from contextlib import ExitStack
from dataclasses import asdict

import click

from etl import logs
from etl.cli.account_status import ago
from etl.cli.commands import verb
from etl.cli.context import Context, moment, shortened
from etl.cli.errors import INTERRUPTED
from etl.cli.options import accounts_argument
from etl.cli.service_hooks import grace_option, monitored, watch_runs
from etl.cli.signals import stop_event
from etl.cli.sync_round import warn_no_raw
from etl.db.engine import read_transaction, write_transaction
from etl.errors import UsageError, counted
from etl.load.accounts import enabled_accounts
from etl.scheduler.queue import make_due
from etl.setting_values import length_of_time
from etl.worker.engine_tables import list_workers, require_workers

MOST_SHOWN = 5
WAKE_SECONDS = 0.5
BUG = 70
log = logs.get(__name__)


@verb("worker", has_json=False)
@click.option(
    "--concurrency",
    metavar="N",
    type=click.IntRange(1, 64),
    default=4,
    help="Accounts synced in parallel by a process.",
)
@click.option(
    "--processes",
    metavar="N",
    type=click.IntRange(0, 64),
    default=1,
    help="Worker processes; 0 means one for each core.",
)
@grace_option
@click.option(
    "--http",
    metavar="HOST:PORT",
    help="Serve /healthz, /readyz and /metrics at this address (of the first process). [default: none]",
)
@click.option("--once", is_flag=True, help="Sync the accounts that are due, then exit.")
@click.option("--supervised", is_flag=True, hidden=True, help="Stop when standard input ends: the supervisor is gone.")
def worker(
    context: Context, concurrency: int, processes: int, grace: int, http: str | None, *, once: bool, supervised: bool
) -> None:
    """Sync the due accounts of a PostgreSQL database, together with all other workers, until SIGTERM or SIGINT.

    Start as many as you like, on as many machines as you like. The workers share the queue, and a worker that is lost loses no
    account. `favsync enqueue` makes accounts due now, `favsync workers` shows who is at work.

    Needs the extra: pip install 'favsync[worker]', then `favsync db upgrade`.

    Exit code: 0 after a stop signal. With --once, the worst of its runs, as in `favsync sync`; 130 if a signal stopped it.
    """
    require_workers(context.open_database())
    count = processes or os.cpu_count() or 1
    if count > 1:
        context.add_exit_codes(_supervise(count, http, once=once))
        return
    warn_no_raw(context)
    from etl.worker.service import Worker

    engine = context.open_database()
    service = Worker(context.config, engine, concurrency=concurrency, grace_seconds=grace)
    with stop_event() as stop, ExitStack() as stack:
        if supervised:
            threading.Thread(target=_stop_at_end_of_input, args=(stop,), name="supervisor", daemon=True).start()
        watch_runs(context, engine, stack, service.sync, is_round=once)
        if http:
            stack.enter_context(monitored(context, engine, service.sync, lambda: service.pulse, http))
        if not once:
            service.run(stop)
            return
        service.run_once(stop)
        if stop.is_set():
            context.exit_code = INTERRUPTED


def _stop_at_end_of_input(stop: threading.Event) -> None:
    """Set ``stop`` when the supervisor has ended, however it died: only it has the other end of the pipe."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    stop.set()


def _supervise(count: int, http: str | None, *, once: bool) -> list[int]:
    """Run ``count`` worker processes, replace those that are killed, and end all of them after a stop signal.

    Returns their exit codes.
    A process that ends by itself with an error ends the others too: its cause is the same for all. If this process is killed,
    they end by themselves.
    """
    with stop_event() as stop:
        running = [_start(number, http) for number in range(count)]
        codes = []
        while running and not stop.is_set():
            stop.wait(WAKE_SECONDS)
            for place, process in enumerate(running):
                if process.poll() is None:
                    continue
                if process.returncode < 0 and not once:
                    log.warning("worker process replaced", process=process.pid, signal=-process.returncode)
                    running[place] = _start(place, http)
                else:
                    codes.append(process.returncode)
                    if process.returncode and not once:
                        stop.set()
            running = [process for process in running if process.returncode is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        # One that is starting does not handle signals yet, so it ends by this one.
        codes += [code for process in running if (code := process.wait()) != -signal.SIGTERM]
    return [code if code >= 0 else BUG for code in codes]


def _start(number: int, http: str | None) -> subprocess.Popen[bytes]:
    """Start a worker process with this command's options; the first one serves the address. The last option counts."""
    more = ["--supervised", "--processes", "1"] + ([] if number == 0 or not http else ["--http", ""])
    command = [sys.executable, "-m", "etl", *sys.argv[1:], *more]
    # In a session of its own: Ctrl-C reaches this process, which passes on one signal.
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # nosec B603


@verb("enqueue")
@accounts_argument
@click.option("--all", "is_all", is_flag=True, help="Make every enabled account due.")
@click.option("--spread", metavar="TIME", default="0", help="Spread the accounts evenly over this time, such as 1h.")
def enqueue(context: Context, accounts: tuple[str, ...], is_all: bool, spread: str) -> None:
    """Make ACCOUNTs due now, for the workers or the scheduler.

    An account that a worker has already stays with it. A disabled account is not made due.
    """
    if bool(accounts) == is_all:
        raise UsageError("it is not clear which accounts are meant", remedy="name accounts, or write --all")
    try:
        width = length_of_time(spread)
    except ValueError:
        raise UsageError(f"{spread!r} is not a length of time", remedy="write it as 90m, 6h or 2d") from None
    engine = context.open_database()
    with read_transaction(engine) as connection:
        chosen = [each for each in enabled_accounts(connection, accounts) if each.enabled]
    with write_transaction(engine) as connection:
        for place, account in enumerate(chosen):
            make_due(connection, account.account_id, width * place / len(chosen))
    done = f"{counted(len(chosen), 'account')} made due" + (f", spread over {spread}" if width else "")
    context.show_result({"accounts": [each.name for each in chosen], "spread_seconds": width.total_seconds()}, done)


@verb("workers")
def workers(context: Context) -> None:
    """Show the worker processes: what they sync now, since when, and their last sign of life.

    A worker without a sign of life for 30 seconds is lost: its accounts go to another one.
    """
    engine = context.open_database()
    require_workers(engine)
    found = list_workers(engine)
    if context.json:
        context.show_json([asdict(each) for each in found])
        return
    rows = [
        (
            each.worker,
            each.process,
            shortened(each.accounts, MOST_SHOWN) or None,
            moment(each.since),
            ago(each.seconds_since_heartbeat),
        )
        for each in found
    ]
    context.show_rows(("worker", "process", "accounts", "since", "sign of life"), rows)
