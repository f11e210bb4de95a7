"""The gate before Stripe: how many calls a second, by however many threads and processes."""

import threading
import time
from datetime import UTC, datetime

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from subscriptions.stripe.gate import Gate, StripeGate

AT = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)


def most_within_a_second(instants: list[float]) -> int:
    instants = sorted(instants)
    return max(sum(1 for other in instants if start <= other < start + 1) for start in instants)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_two_processes_of_eight_threads_stay_below_the_rate_and_use_it() -> None:
    called: list[float] = []

    def calls(gate: Gate) -> None:
        try:
            for _number in range(15):
                gate.wait(AT)
                called.append(time.monotonic())
        finally:
            connection.close()

    # A gate of its own each, as processes have: they meet in the row alone.
    gates = [Gate("key", calls_a_second=100) for _process in range(2)]
    threads = [threading.Thread(target=calls, args=(gate,)) for gate in gates for _thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(called) == 240
    assert most_within_a_second(called) <= 100
    # 240 calls take 2.67 s at nine tenths of the rate.
    assert 2.5 < max(called) - min(called) < 6


class _Time:
    """A clock that moves only while somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


@pytest.mark.django_db
def test_who_calls_now_and_then_keeps_no_time_from_others() -> None:
    clock = _Time()
    gate = Gate("key", calls_a_second=100, now=clock, sleep=clock.sleep)
    for _number in range(5):
        gate.wait(AT)
        clock.now += 60
    # Two slots at most are reserved ahead: the second one was not used in its time.
    assert len(gate._slots) <= 1


@pytest.mark.django_db
def test_a_busy_process_asks_the_row_once_for_ten_calls(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    clock = _Time()
    gate = Gate("key", calls_a_second=100, now=clock, sleep=clock.sleep)
    for _number in range(15):
        gate.wait(AT)
    with django_assert_num_queries(6):
        # Two batches: a savepoint, a statement and its release each.
        for _number in range(20):
            gate.wait(AT)


@pytest.mark.django_db
def test_a_slot_that_was_not_used_in_its_time_is_not_used_later() -> None:
    clock = _Time()
    gate = Gate("key", calls_a_second=100, now=clock, sleep=clock.sleep)
    for _number in range(14):
        gate.wait(AT)
    clock.now += 5
    gate.wait(AT)
    assert list(gate._slots) == []


@pytest.mark.django_db
def test_a_longer_pause_that_is_known_stands() -> None:
    gate = Gate("key", calls_a_second=100)
    gate.wait(AT)
    gate.pause(AT.replace(minute=5))
    gate.pause(AT.replace(minute=2))
    assert StripeGate.objects.get().paused_until == AT.replace(minute=5)
    assert gate.wait(AT) == AT.replace(minute=5)
    assert gate.wait(AT.replace(minute=5)) is None
