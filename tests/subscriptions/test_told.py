"""What other systems are told of subscriptions: what, in which order, and at what cost."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.customers.history import Actor
from accounts.events.message import EventMessage
from accounts.events.message_type import BUILDS, TYPES
from accounts.events.publishing import publish_due
from accounts.models import Account, User
from subscriptions import changes, contracts
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.ending.settling import settle_due
from subscriptions.models import Channel, Interval, Plan
from subscriptions.refunds import decisions
from subscriptions.refunds.paying import say_paid
from subscriptions.refunds.refund import Ends
from subscriptions.starting import start
from tests.factories import NOW, AccountFactory, owner_of, subscribe

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
HEAD = {"event", "account", "sequence", "recorded_at", "external_id", "version", "cause"}


def told(account: Account, at: Any = NOW) -> list[tuple[str, dict[str, Any]]]:
    """What has been told of the account, in its order: types, and what each says of its own."""
    publish_due(at)
    rows = EventMessage.objects.of(account.pk).published()
    assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
    found = []
    for row in rows:
        data = json.loads(row.body)["data"]
        assert set(TYPES.named(row.type).fields) == set(data) - HEAD
        found.append((row.type, data))
    return found


def types(account: Account, at: Any = NOW) -> list[str]:
    return [name for name, _data in told(account, at)]


def test_a_life_from_purchase_to_its_end_is_told_in_order_with_what_the_door_says() -> None:
    account = AccountFactory()
    subscription = subscribe(account)
    assert types(account) == ["subscription.started", "entitlements.changed"]
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW + DAY, reason="unused", comment="Hm!")
    assert types(account, NOW + DAY)[2:] == ["cancellation.requested", "subscription.ending", "entitlements.changed"]
    end = cancellation.effective_at
    settle_due(end)
    found = told(account, end)[5:]
    assert [name for name, _data in found] == [
        "cancellation.carried_out",
        "subscription.ended",
        "entitlements.changed",
    ]
    last = dict(told(account, end))
    assert last["cancellation.carried_out"]["reference"] == cancellation.reference
    assert last["cancellation.carried_out"]["reason"] == "unused"
    assert "Hm!" not in str(last)
    ended = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert last["subscription.ended"]["ends_at"] == ended
    free = last["entitlements.changed"]
    assert (free["plan"], free["since"], free["until"], free["active"]) == ("free", ended, None, True)


def test_a_date_that_passes_is_told_without_anybody_settling() -> None:
    account = AccountFactory()
    subscription = subscribe(account, ends_at=NOW + 10 * DAY)
    told(account)
    start(
        account,
        plan=Plan.objects.get(pk="enterprise"),
        channel=Channel.DATADOG_SALES,
        interval=Interval.ANNUAL,
        cents=1,
        starts_at=NOW + 20 * DAY,
        ends_at=NOW + 30 * DAY,
        by=Actor.system(),
        at=NOW,
    )
    assert subscription.ends_at == NOW + 10 * DAY
    plans = []
    for day in (1, 9, 10, 11, 19, 20, 29, 30, 31):
        found = [data for name, data in told(account, NOW + day * DAY) if name == "entitlements.changed"]
        plans.append((day, len(found), found[-1]["plan"]))
    assert plans == [
        (1, 1, "pro"),
        (9, 1, "pro"),
        (10, 2, "free"),
        (11, 2, "free"),
        (19, 2, "free"),
        (20, 3, "enterprise"),
        (29, 3, "enterprise"),
        (30, 4, "free"),
        (31, 4, "free"),
    ]
    assert [data["cause"] for name, data in told(account, NOW + 31 * DAY) if name == "entitlements.changed"][-3:] == (
        ["system"] * 3
    )


def test_who_cancels_and_keeps_before_anybody_looked_has_no_other_entitlements() -> None:
    account = AccountFactory()
    subscription = subscribe(account)
    told(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    withdraw(cancellation, by=owner_of(subscription), at=NOW + DAY)
    assert types(account, NOW + DAY)[2:] == [
        "cancellation.requested",
        "subscription.ending",
        "cancellation.withdrawn",
        "subscription.changed",
    ]


def test_more_seats_are_told_a_price_alone_is_not() -> None:
    account = AccountFactory()
    subscription = subscribe(account)
    told(account)
    same: dict[str, Any] = {"plan_id": "pro", "interval": Interval.MONTHLY, "at": NOW, "by": Actor.api(7)}
    changes.change(subscription, seats=subscription.seats, cents=1, **same)
    assert types(account) == ["subscription.started", "entitlements.changed"]
    changes.change(subscription, seats=9, cents=1, **same)
    name, data = told(account)[-1]
    assert (name, data["seats"], data["cause"]) == ("subscription.changed", 9, "api")
    assert "cents" not in data


def test_an_end_at_once_carries_out_the_open_cancellation() -> None:
    account = AccountFactory()
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    told(account)
    changes.end_at_once(subscription, at=NOW + DAY, by=Actor.system())
    found = told(account, NOW + DAY)
    assert [name for name, _data in found[-3:]] == [
        "cancellation.carried_out",
        "subscription.ended",
        "entitlements.changed",
    ]
    assert found[-3][1]["reference"] == cancellation.reference
    assert found[-3][1]["effective_at"] == "2026-03-18T09:30:00Z"


def test_a_refund_is_told_when_it_is_approved_and_when_it_is_paid(agent: User, lead: User) -> None:
    account = AccountFactory()
    subscription = subscribe(account)
    refund, _new = decisions.propose(
        subscription,
        cents=4900,
        currency="USD",
        ends=Ends.CYCLE_END,
        payment_reference="pi_1",
        by=Actor.staff(agent),
        at=NOW,
    )
    decisions.approve(refund, by=Actor.staff(lead), at=NOW)
    say_paid(refund, payment_reference="re_1", by=Actor.staff(lead), at=NOW)
    found = [(name, data) for name, data in told(account) if name.startswith("refund.")]
    assert [name for name, _data in found] == ["refund.approved", "refund.paid"]
    assert {(data["reference"], data["cents"], data["currency"], data["cause"]) for _name, data in found} == {
        (refund.reference, 4900, "USD", "staff")
    }


def test_a_contract_that_is_extended_ends_later(agent: User) -> None:
    account = AccountFactory()
    contract, _new = contracts.enter(
        account,
        plan=Plan.objects.get(pk="pro"),
        seats=3,
        cents=100,
        starts_at=NOW,
        ends_at=NOW + 100 * DAY,
        order_reference="Q-1",
        by=Actor.staff(agent),
        at=NOW,
    )
    contracts.extend(contract, ends_at=NOW + 200 * DAY, by=Actor.staff(agent), at=NOW)
    found = told(account)
    assert [name for name, _data in found] == ["subscription.started", "subscription.ending", "entitlements.changed"]
    assert found[1][1]["ends_at"] == (NOW + 200 * DAY).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("transition", ["start", "cancel", "keep", "change", "end", "settle"])
def test_messages_cost_a_transition_one_statement_at_most(transition: str) -> None:
    subscription = subscribe()
    by = owner_of(subscription)
    cancellation = None
    if transition in ("keep", "settle"):
        cancellation, _new = cancel(subscription, by=by, at=NOW)
    acts: dict[str, Callable[[], object]] = {
        "start": subscribe,
        "cancel": lambda: cancel(subscription, by=by, at=NOW),
        "keep": lambda: cancellation and withdraw(cancellation, by=by, at=NOW),
        "change": lambda: changes.change(
            subscription, plan_id="pro", interval=Interval.MONTHLY, seats=9, cents=1, at=NOW, by=by
        ),
        "end": lambda: changes.end_at_once(subscription, at=NOW, by=by),
        "settle": lambda: settle_due(subscription.paid_through(NOW)),
    }
    with CaptureQueriesContext(connection) as statements:
        acts[transition]()
    assert len([one for one in statements if "accounts_eventmessage" in one["sql"]]) == 1


def test_every_type_of_the_table_is_there() -> None:
    assert {kind.name for kind in TYPES.all()} == {
        "account.created",
        "account.deactivated",
        "account.reactivated",
        "ownership.changed",
        "member.added",
        "member.changed",
        "member.removed",
        "subscription.started",
        "subscription.changed",
        "subscription.ending",
        "subscription.ended",
        "cancellation.requested",
        "cancellation.withdrawn",
        "cancellation.carried_out",
        "entitlements.changed",
        "refund.approved",
        "refund.paid",
        "refund.failed",
        "deletion.scheduled",
        "deletion.called_off",
        "account.erasing",
        "account.erased",
        "export.ready",
    }
    assert len(BUILDS) > 20
