"""Stopping a long verb by signals."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.cli.signals import stop_event


@pytest.fixture
def restore_interrupt() -> Iterator[None]:
    """Interrupt on SIGINT, also in a process that a shell started in the background: there it is ignored."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def send_and_wait(number: signal.Signals) -> None:
    send(number)
    threading.Event().wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_event_while_the_verb_waits_for_it(number: signal.Signals) -> None:
    sender = threading.Thread(target=send, args=[number])
    with stop_event() as stop:
        sender.start()
        assert stop.wait()
    sender.join()


def test_the_second_signal_has_its_ordinary_effect(restore_interrupt: None) -> None:
    with stop_event() as stop:
        send(signal.SIGINT)
        assert stop.wait()
        with pytest.raises(KeyboardInterrupt):
            send_and_wait(signal.SIGINT)


def failing_verb() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_event() as stop:
        assert signal.getsignal(signal.SIGTERM) is not before
        assert not stop.is_set()
        raise ValueError("x")


def test_the_handlers_are_restored_when_the_verb_fails() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    threads = threading.active_count()
    with pytest.raises(ValueError, match="x"):
        failing_verb()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    assert threading.active_count() == threads


def test_a_signal_during_a_wait_blocks_nothing() -> None:
    for _ in range(200):
        with stop_event() as stop:
            threading.Thread(target=send, args=[signal.SIGTERM]).start()
            while not stop.wait(0.0001):
                pass


def test_in_another_thread_there_is_an_event_that_nothing_sets() -> None:
    seen = []

    def verb() -> None:
        with stop_event() as stop:
            seen.append(stop.is_set())

    thread = threading.Thread(target=verb)
    thread.start()
    thread.join()
    assert seen == [False]


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_is_left_open() -> None:
    before = open_descriptors()
    for _ in range(10):
        with stop_event():
            pass
    assert open_descriptors() == before
