"""What is published gets to whoever is to hear it: signed, in order, and nothing is lost on the way."""

import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.db import connection
from standardwebhooks import Webhook

from accounts.events import managing
from accounts.events.dispatch import MOST_ATTEMPTS, PAUSES, Dispatch, Lane
from accounts.events.endpoint import Endpoint, OffReason
from accounts.events.message import EventMessage
from accounts.events.sending import ENOUGH_FAILURES, preview, publish_and_send, send_due
from accounts.jobs import invariants
from accounts.mail.sending import send_due as send_mails
from accounts.models import Account, Event, User
from subscriptions.ending.cancellation import cancel, withdraw
from tests.accounts.erasure.purging import erase_all
from tests.accounts.events.hearing import SYSTEM, hears, tell
from tests.factories import NOW, AccountFactory, owner_of, subscribe
from tests.fakes.receiver import Call, Receiver, Reply, receiver

pytestmark = pytest.mark.django_db
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
RED = ("endpoint-failing", "endpoint-off", "undelivered-message")
#: The longest pause before each attempt: at once, then the specification's and a fifth.
LONGEST = [pause * 1.2 for pause in PAUSES]


@pytest.fixture(autouse=True)
def inside(settings: Any) -> None:
    settings.OUTGOING_ALLOWED_NETWORKS = ["127.0.0.0/8"]


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def red(at: datetime) -> list[str]:
    """What of all this `doctor` and `/readyz/` complain about."""
    return [name for name in RED if invariants.REGISTRY.named(name).check(at)]


def said(call: Call) -> Any:
    return json.loads(call.body)


def test_a_message_arrives_signed_byte_for_byte_and_once(account: Account, there: Receiver) -> None:
    endpoint, secret = hears(there.url)
    tell(account.pk)
    assert send_due(NOW) == 1
    assert send_due(NOW + DAY) == 0
    (call,) = there.calls
    message = EventMessage.objects.get()
    assert call.body == message.payload
    assert Webhook(secret).verify(call.body, dict(call.headers)) == json.loads(message.body)
    assert call.headers["webhook-id"] == str(message.webhook_id)
    assert call.headers["content-type"] == "application/json"
    dispatch = Dispatch.objects.get()
    assert (dispatch.delivered_at, dispatch.status, dispatch.attempts, dispatch.last_error) == (NOW, 200, 0, "")
    endpoint.refresh_from_db()
    assert (endpoint.delivered_at, endpoint.failing_since) == (NOW, None)
    assert list(Lane.objects.values_list("next_attempt_at", "leased_until")) == [(None, None)]


def test_the_sweep_publishes_and_sends(account: Account, there: Receiver) -> None:
    hears(there.url)
    tell(account.pk, published=False)
    assert len(list(preview(NOW))) == 1
    assert publish_and_send(NOW) == 2
    assert len(there.calls) == 1


def test_an_endpoint_hears_its_types_alone_and_nothing_of_before_it_was_made(account: Account, there: Receiver) -> None:
    tell(account.pk)
    with time_machine.travel(NOW + 400 * DAY):
        hears(there.url, ["account.erased"], at=NOW + 400 * DAY)
    tell(account.pk, name="account.erasing", at=NOW + 401 * DAY)
    tell(account.pk, name="account.erased", at=NOW + 401 * DAY)
    assert send_due(NOW + 401 * DAY) == 1
    assert [said(call)["type"] for call in there.calls] == ["account.erased"]


def test_each_endpoint_gets_its_own_and_one_that_fails_holds_up_nobody(account: Account, there: Receiver) -> None:
    with receiver() as broken:
        broken.answer = lambda _call: Reply(500)
        hears(there.url)
        hears(broken.url, name="Broken")
        for _one in range(3):
            tell(account.pk)
        assert send_due(NOW) == 3
        assert (len(there.calls), len(broken.calls)) == (3, 1)


def test_messages_of_an_account_arrive_in_order_and_wait_for_one_that_fails(account: Account, there: Receiver) -> None:
    hears(there.url)
    other = uuid.uuid4()
    for _one in range(3):
        tell(account.pk)
    tell(other)
    there.answer = lambda call: Reply(500) if said(call)["data"]["account"] == str(account.pk) else Reply()
    assert send_due(NOW) == 1
    # The account's first one alone was tried; the other account's went by.
    assert sorted(said(call)["data"]["account"] for call in there.calls) == sorted([str(account.pk), str(other)])
    there.answer = lambda _call: Reply()
    assert send_due(NOW) == 0
    assert send_due(NOW + 6 * SECOND) == 3
    sequences = [said(call)["data"]["sequence"] for call in there.calls if said(call)["data"]["account"] != str(other)]
    assert sequences == [1, 1, 2, 3]


def test_after_its_third_failure_a_message_lets_the_later_ones_go_ahead(account: Account, there: Receiver) -> None:
    hears(there.url)
    for _one in range(4):
        tell(account.pk)
    there.answer = lambda call: Reply(500 if said(call)["data"]["sequence"] == 1 else 200)
    at = NOW
    for wait, delivered in ((0 * SECOND, 0), (LONGEST[0], 0), (LONGEST[1], 3)):
        at += wait
        assert send_due(at) == delivered
    assert [said(call)["data"]["sequence"] for call in there.calls] == [1, 1, 1, 2, 3, 4]
    # One that comes later is not held up, either; the first one is tried on beside them.
    tell(account.pk, at=at)
    assert send_due(at) == 1
    there.answer = lambda _call: Reply()
    assert send_due(at + LONGEST[2]) == 1
    assert said(there.calls[-1])["data"]["sequence"] == 1
    assert not Dispatch.objects.pending().exists()


def test_ten_attempts_in_75_hours_and_35_minutes_with_a_fifth_of_jitter_then_it_is_given_up(
    account: Account, there: Receiver
) -> None:
    hears(there.url)
    tell(account.pk)
    there.answer = lambda _call: Reply(503, b"later")
    at, pauses = NOW, []
    for _attempt in range(MOST_ATTEMPTS):
        assert send_due(at) == 0
        dispatch = Dispatch.objects.get()
        if dispatch.given_up_at is None:
            pauses.append(dispatch.next_attempt_at - at)
            # Not a moment earlier.
            assert send_due(dispatch.next_attempt_at - SECOND / 1000) == 0
            at = dispatch.next_attempt_at
    assert len(there.calls) == 10
    assert sum(PAUSES, timedelta()) == 75 * HOUR + 35 * MINUTE + 5 * SECOND
    assert all(plan * 0.8 <= pause <= plan * 1.2 for plan, pause in zip(PAUSES, pauses, strict=True))
    assert len({pause / plan for plan, pause in zip(PAUSES, pauses, strict=True)}) > 5
    assert (dispatch.given_up_at, dispatch.attempts, dispatch.status) == (at, 10, 503)
    assert (dispatch.answer, dispatch.last_error) == ("later", "answered 503")
    assert send_due(at + 30 * DAY) == 0
    # It is still to be seen, and can be sent again.
    assert Dispatch.objects.undelivered().get() == dispatch
    assert "message-given-up" in [found.name for found in invariants.warnings(at)]


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        ("120", 120),
        ("0", 5),
        ("86401", 86400),
        ("99999999999999999999", 86400),
        ("Tue, 17 Mar 2026 10:30:00 GMT", 3600),
        ("Tue, 17 Mar 2020 10:30:00 GMT", 5),
        ("Tue, 17 Mar 2099 10:30:00 GMT", 86400),
        ("soon", 5),
        ("-1", 5),
    ],
)
def test_a_receiver_may_ask_for_a_pause_of_a_day_at_most(
    account: Account, there: Receiver, asked: str, waits: int
) -> None:
    endpoint, _secret = hears(there.url)
    tell(account.pk)
    there.reply(Reply(429, b"", {"retry-after": asked}))
    with time_machine.travel(NOW, tick=False):
        send_due(NOW)
    pause = (Dispatch.objects.get().next_attempt_at - NOW).total_seconds()
    assert pause == waits if waits > 5 else 4 <= pause <= 6
    # Others of it wait, too: it has asked for itself, not for one message.
    if waits > 5:
        tell(uuid.uuid4())
        assert send_due(NOW + 4 * SECOND) == 0
        assert len(there.calls) == 1
        assert send_due(NOW + waits * SECOND) == 2
        endpoint.refresh_from_db()
        assert endpoint.paused_until is None


def test_what_has_answered_is_kept_as_text_of_500_characters(account: Account, there: Receiver) -> None:
    hears(there.url)
    tell(account.pk)
    there.reply(Reply(500, b"<script>alert(1)</script>\x00\xff" + "ü".encode() * 1000))
    send_due(NOW)
    dispatch = Dispatch.objects.get()
    assert len(dispatch.answer) == 500
    assert dispatch.answer.startswith("<script>alert(1)</script>�ü")
    assert dispatch.seconds is not None


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(302, b"", {"location": "http://127.0.0.1:1/"}), "answered 302: redirects are not followed"),
        (Reply(vanish=True), "does not answer (RemoteProtocolError)"),
        (Reply(404), "answered 404"),
    ],
)
def test_nothing_but_a_2xx_is_a_success(account: Account, there: Receiver, reply: Reply, why: str) -> None:
    hears(there.url)
    tell(account.pk)
    there.reply(reply)
    assert send_due(NOW) == 0
    assert Dispatch.objects.get().last_error.startswith(why)
    assert send_due(NOW + 6 * SECOND) == 1


def test_a_big_answer_is_a_success_and_not_read_to_its_end(account: Account, there: Receiver) -> None:
    hears(there.url)
    tell(account.pk)
    there.reply(Reply(200, b"x" * 5_000_000))
    assert send_due(NOW) == 1
    assert Dispatch.objects.get().answer == "x" * 500


# An endpoint that fails


def test_410_switches_off_at_once_and_tells_the_leads(account: Account, there: Receiver, lead: User) -> None:
    endpoint, _secret = hears(there.url)
    tell(account.pk)
    tell(account.pk)
    there.reply(410)
    send_due(NOW)
    endpoint.refresh_from_db()
    assert (endpoint.off_at, endpoint.off_because) == (NOW, OffReason.GONE)
    assert Event.objects.get(kind="endpoint.off").facts == {"endpoint": str(endpoint.pk), "because": "gone"}
    assert send_due(NOW + DAY) == 0
    assert len(there.calls) == 1
    assert send_mails(NOW) == 1
    assert mail.outbox[0].subject == "Product was switched off"
    assert "answered that it is gone (410)" in mail.outbox[0].body
    assert red(NOW + DAY) == ["endpoint-off"]
    # What it has missed goes out when it is switched on.
    assert managing.switch_on(endpoint, by=SYSTEM, at=NOW + DAY)
    assert send_due(NOW + DAY) == 2
    assert red(NOW + DAY) == []


def test_warned_after_24_hours_off_after_five_days_and_told_both_times(
    account: Account, there: Receiver, lead: User, agent: User
) -> None:
    endpoint, _secret = hears(there.url)
    there.answer = lambda _call: Reply(500)
    for hours in (0, 1, 2, 23, 24, 119, 120, 121):
        at = NOW + hours * HOUR
        tell(uuid.uuid4(), at=at)
        send_due(at)
        endpoint.refresh_from_db()
        assert (endpoint.warned_at is not None) == (hours >= 24)
        assert (endpoint.off_at is not None) == (hours >= 120)
        failing = ["endpoint-failing"] if 24 <= hours < 120 else []
        assert red(at) == (["endpoint-off"] if hours >= 120 else failing + ["undelivered-message"] * (hours > 1))
    assert send_mails(at) == 2
    assert [letter.subject for letter in mail.outbox] == [
        "Product does not take its messages",
        "Product was switched off",
    ]
    assert {address for letter in mail.outbox for address in letter.to} == {lead.email}
    assert "since Tuesday, March 17, 2026" in mail.outbox[0].body
    assert "switched off on Sunday, March 22, 2026" in mail.outbox[0].body
    # All of what it has not got is there; of some every attempt was made.
    assert Dispatch.objects.undelivered().count() == EventMessage.objects.count() == 8


def test_one_success_forgives(account: Account, there: Receiver) -> None:
    endpoint, _secret = hears(there.url)
    tell(account.pk)
    there.reply(500)
    send_due(NOW)
    endpoint.refresh_from_db()
    assert endpoint.failing_since == NOW
    assert send_due(NOW + 6 * SECOND) == 1
    assert Endpoint.objects.get().failing_since is None
    assert red(NOW + 2 * DAY) == []


def test_an_endpoint_that_fails_is_asked_a_few_times_a_run_and_recovers_at_once(there: Receiver) -> None:
    hears(there.url)
    accounts = [uuid.uuid4() for _one in range(40)]
    for one in accounts:
        tell(one, published=False)
    there.answer = lambda _call: Reply(502)
    publish_and_send(NOW)
    # Those that were under way already when it became known; then no more.
    assert len(there.calls) <= ENOUGH_FAILURES + 6
    tried = len(there.calls)
    send_due(NOW + MINUTE)
    assert len(there.calls) == tried + ENOUGH_FAILURES - 1
    there.answer = lambda _call: Reply()
    assert send_due(NOW + HOUR) == 40


def test_an_endpoint_that_is_off_loses_nothing(account: Account, there: Receiver) -> None:
    endpoint, _secret = hears(there.url)
    assert managing.switch_off(endpoint, by=SYSTEM, at=NOW)
    for _one in range(3):
        tell(account.pk, at=NOW + DAY)
    assert send_due(NOW + DAY) == 0
    # Somebody has decided that: nothing is red.
    assert red(NOW + 2 * DAY) == []
    managing.switch_on(endpoint, by=SYSTEM, at=NOW + 2 * DAY)
    assert send_due(NOW + 2 * DAY) == 3
    assert [said(call)["data"]["sequence"] for call in there.calls] == [1, 2, 3]


def test_a_removed_one_gets_nothing_and_its_address_can_be_used_again(account: Account, there: Receiver) -> None:
    endpoint, _secret = hears(there.url)
    tell(account.pk)
    assert managing.remove(endpoint, by=SYSTEM, at=NOW)
    assert send_due(NOW) == 0
    assert bytes(Endpoint.objects.get().secret) == b""
    hears(there.url)
    tell(account.pk)
    assert send_due(NOW) == 1


# Two at once, and what is cut off


def test_a_lane_of_a_worker_that_was_killed_is_taken_up_after_its_lease(account: Account, there: Receiver) -> None:
    hears(there.url)
    tell(account.pk)
    Lane.objects.update(leased_until=NOW + 5 * MINUTE)
    assert send_due(NOW + 4 * MINUTE) == 0
    assert send_due(NOW + 5 * MINUTE) == 1


def test_one_that_the_database_refuses_to_note_harms_no_other(account: Account, there: Receiver) -> None:
    hears(there.url)
    tell(account.pk)
    for _one in range(3):
        tell(uuid.uuid4())
    poison = Dispatch.objects.get(account_id=account.pk)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            "ALTER TABLE accounts_dispatch ADD CONSTRAINT poison CHECK (id <> %s OR delivered_at IS NULL)", [poison.pk]
        )
    send_due(NOW)
    assert Dispatch.objects.pending().get() == poison
    assert Lane.objects.exclude(leased_until=None).get().account_id == account.pk
    assert red(NOW + 2 * HOUR) == ["undelivered-message"]


def test_what_is_erased_on_the_way_is_noted_nowhere(account: Account, there: Receiver) -> None:
    hears(there.url)
    tell(account.pk)

    there.reply(500)
    send_due(NOW)
    Dispatch.objects.all().delete()
    EventMessage.objects.all().delete()
    assert send_due(NOW + DAY) == 0
    assert Lane.objects.get().next_attempt_at is None


def test_order_is_kept_over_many_accounts_with_failures_in_between(there: Receiver) -> None:
    hears(there.url)
    accounts = [uuid.uuid4() for _one in range(5)]
    for number in range(60):
        tell(accounts[number * 7 % 5], published=False)
    failures: Counter[str] = Counter()

    def answer(call: Call) -> Reply:
        """Every third message fails twice: not often enough to step aside."""
        failing, key = said(call)["data"]["sequence"] % 3 == 0, call.headers["webhook-id"]
        failures[key] += failing
        return Reply(500 if failing and failures[key] <= 2 else 200)

    there.answer = answer
    at = NOW
    publish_and_send(at)
    for _time in range(60):
        at += 5 * MINUTE
        send_due(at)
        if not Dispatch.objects.pending().exists():
            break
    arrived = defaultdict(list)
    for call in there.calls:
        arrived[said(call)["data"]["account"]].append(said(call)["data"]["sequence"])
    assert all(sorted(sequences) == sequences for sequences in arrived.values())
    assert {account: set(sequences) for account, sequences in arrived.items()} == {
        str(account): set(range(1, 13)) for account in accounts
    }


def test_after_thirty_days_messages_tests_lanes_and_removed_endpoints_are_forgotten(there: Receiver) -> None:
    endpoint, _secret = hears(there.url)
    tell(uuid.uuid4())
    managing.test(endpoint, by=SYSTEM, at=NOW)
    publish_and_send(NOW)
    # Messages count from when they were written, which the database's own clock says.
    written = EventMessage.objects.get().recorded_at
    managing.remove(endpoint, by=SYSTEM, at=written)
    far = written + 30 * DAY
    publish_and_send(far - SECOND)
    assert (Lane.objects.count(), EventMessage.objects.count()) == (1, 1)
    publish_and_send(far + SECOND)
    assert not any(model.objects.exists() for model in (EventMessage, Dispatch, Lane, Endpoint))


# Crossed with the life of an account


def test_what_an_erased_account_was_not_told_of_goes_with_it_and_its_last_words_go_out(
    account: Account, there: Receiver
) -> None:
    endpoint, _secret = hears(there.url, ["account.created", "account.erasing", "account.erased"])
    managing.switch_off(endpoint, by=SYSTEM, at=NOW)
    other = AccountFactory()
    tell(account.pk, name="account.created")
    tell(other.pk, name="account.created")
    assert Dispatch.objects.count() == 2
    erase_all(account)
    assert [row.account_id for row in Dispatch.objects.all()] == [other.pk]
    managing.switch_on(endpoint, by=SYSTEM, at=NOW)
    publish_and_send(NOW)
    mine = [said(call) for call in there.calls if said(call)["data"]["account"] == str(account.pk)]
    assert [message["type"] for message in mine] == ["account.erasing", "account.erased"]
    assert [said(call)["type"] for call in there.calls if said(call)["data"]["account"] == str(other.pk)]
    # Who answered what to the last words stays for thirty days, by ids alone.
    assert {row.type for row in Dispatch.objects.filter(account_id=account.pk)} == {"account.erasing", "account.erased"}


def test_a_cancellation_withdrawn_and_made_again_while_the_receiver_is_down_arrives_in_order(
    account: Account, there: Receiver
) -> None:
    hears(there.url, ["cancellation.requested", "cancellation.withdrawn"])
    subscription = subscribe(account)
    owner = owner_of(subscription)
    there.answer = lambda _call: Reply(503)
    for hour in range(2):
        at = NOW + HOUR * (2 * hour + 1)
        cancellation, _new = cancel(subscription, by=owner, at=at, reason="unused", comment="secret words")
        publish_and_send(at)
        withdraw(cancellation, by=owner, at=at + HOUR)
        publish_and_send(at + HOUR)
    # A second account of the same owner is told of beside it.
    beside = AccountFactory(owner=account.owner())
    cancel(subscribe(beside), by=owner_of(beside.subscriptions.get()), at=NOW + HOUR, reason="unused", comment="")
    there.calls.clear()
    there.answer = lambda _call: Reply()
    publish_and_send(NOW + DAY)
    types = [said(call)["type"] for call in there.calls if said(call)["data"]["account"] == str(account.pk)]
    assert types == ["cancellation.requested", "cancellation.withdrawn"] * 2
    assert len(there.calls) == 5
    assert not any(b"secret words" in call.body for call in there.calls)


def test_without_redis_everything_is_sent_all_the_same(account: Account, there: Receiver, settings: Any) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    hears(there.url)
    tell(account.pk, published=False)
    assert publish_and_send(NOW) == 2
