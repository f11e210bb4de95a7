"""`kill -9` while endpoints are told, and two senders side by side: all arrives, in order, and nothing is lost."""

import json
import time
import uuid
from collections import defaultdict
from datetime import timedelta

import pytest

from accounts.core import clock
from accounts.events.dispatch import Dispatch
from accounts.events.publishing import publish_due
from accounts.events.sending import LEASE, send_due
from accounts.models import EventMessage
from tests.accounts.events.hearing import hears, tell
from tests.fakes.receiver import Receiver, Reply, receiver
from tests.faults.processes import command

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.concurrency]
ACCOUNTS, EACH = 12, 10


def heard(there: Receiver) -> dict[str, list[int]]:
    """The numbers that came of each account, in the order in which they came."""
    found: dict[str, list[int]] = defaultdict(list)
    for call in list(there.calls):
        said = json.loads(call.body)["data"]
        found[said["account"]].append(said["sequence"])
    return found


def test_a_sender_that_is_killed_loses_nothing_and_one_beside_it_sends_nothing_twice(
    settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OUTGOING_ALLOWED_NETWORKS = ["127.0.0.0/8"]  # type: ignore[attr-defined]
    monkeypatch.setenv("OUTGOING_ALLOWED_NETWORKS", "127.0.0.0/8")
    with receiver() as there:
        at = clock.now()
        hears(there.url, at=at)
        accounts = [uuid.uuid4() for _one in range(ACCOUNTS)]
        for number in range(ACCOUNTS * EACH):
            tell(accounts[number % ACCOUNTS], at=at, published=False)
        publish_due(at)
        there.answer = lambda _call: Reply(wait=0.02)
        killed = command("sweep", "events")
        give_up = time.monotonic() + 60
        while len(there.calls) < 30:
            assert killed.poll() is None, "the kill came after the end"
            assert time.monotonic() < give_up, "nothing is sent"
            time.sleep(0.005)
        # Beside it nobody else sends: it has the lanes.
        assert send_due(clock.now()) == 0
        killed.kill()
        killed.wait()
        before = len(there.calls)
        there.answer = lambda _call: Reply()
        send_due(clock.now() + LEASE + timedelta(seconds=1))
        assert not Dispatch.objects.pending().exists()
        assert before < len(there.calls) < 2 * ACCOUNTS * EACH
        assert len(set(there.ids)) == EventMessage.objects.count() == ACCOUNTS * EACH
        for sequences in heard(there).values():
            # What was told and not noted came again, from the beginning of what one worker had taken; in order.
            again = [one for at, one in enumerate(sequences) if one in sequences[:at]]
            assert again == sorted(again)
            firsts = list(dict.fromkeys(sequences))
            assert firsts == list(range(1, EACH + 1))
