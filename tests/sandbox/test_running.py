from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from etl.sandbox import Sandbox, run

SCRIPT = """
from etl.sandbox import run
run(tracks=3, scenario="counts_absent", announce=lambda sandbox: print(sandbox.url, flush=True))
print("returned")
"""
FORBIDDEN = (
    "etl.boomplay",
    "etl.model",
    "etl.load",
    "etl.config",
    "etl.cli",
    "etl.sync",
    "httpx",
    "sqlalchemy",
    "click",
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_running_serves_until_a_signal_and_then_returns(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        about = httpx.get(f"{url}/_sandbox/", trust_env=False, verify=False).json()
        assert (about["scenario"], about["users"]["ada"]["favourites"]) == ("counts_absent", 3)
        process.send_signal(number)
        assert process.stdout.read() == "returned\n"
    assert process.returncode == 0


def test_running_puts_the_callers_signals_back() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def interrupt(_: Sandbox) -> None:
        raise KeyboardInterrupt

    run(tracks=1, announce=interrupt)
    assert signal.getsignal(signal.SIGTERM) is before


def test_running_in_a_thread_leaves_signals_alone() -> None:
    urls: list[str] = []

    def interrupt(sandbox: Sandbox) -> None:
        urls.append(sandbox.url)
        raise KeyboardInterrupt

    thread = threading.Thread(target=run, kwargs={"tracks": 1, "announce": interrupt})
    thread.start()
    thread.join()
    assert len(urls) == 1


def test_a_wrong_scenario_is_raised_to_the_caller() -> None:
    with pytest.raises(ValueError, match="no scenario"):
        run(scenario="chaos")


def test_importing_the_sandbox_brings_nothing_of_favsyncs_own_reading_of_the_api() -> None:
    code = "import sys, etl.sandbox; print('\\n'.join(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [module for module in modules if module.startswith(FORBIDDEN)] == []


def test_nothing_of_the_sandbox_names_a_module_of_favsync_outside_itself() -> None:
    sources = Path(__file__).parents[3].joinpath("etl", "sandbox").glob("*.py")
    lines = [line for source in sources for line in source.read_text("utf-8").splitlines() if "import" in line.split()]
    assert [line for line in lines if line.startswith(("from etl", "import etl")) and "etl.sandbox" not in line] == []
