"""An approved deletion stops the renewal, ends what was paid for when the erasing begins, and can be called off."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client

from accounts.core import clock
from accounts.customers.history import Actor
from accounts.erasure import holds, starting
from accounts.erasure.purge import Purge
from accounts.mail import sending
from accounts.models import Account, Notice, User
from accounts.support import deletion
from accounts.support.requests import RequestKind, ask
from subscriptions.billing.by_hand import say_done
from subscriptions.billing.wish import Want, Wish
from subscriptions.billing_record import BillingRecord
from subscriptions.current_plan import standing_of
from subscriptions.ending import reminders, settling
from subscriptions.ending.cancellation import Reason, ToBeDeleted, cancel, withdraw
from subscriptions.models import Cancellation, Channel, Ends, Subscription
from subscriptions.refunds.decisions import approve, propose
from subscriptions.refunds.paying import carry_out_due, say_paid
from tests.factories import NOW, owner_of, subscribe
from tests.pages import press

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
DAY = timedelta(days=1)


@pytest.fixture
def subscription(account: Account) -> Subscription:
    """Monthly, in its first cycle, which goes on for thirty days and one."""
    return subscribe(account, at=NOW - DAY)


def approved(account: Account, agent: User, lead: User, *, at: datetime = NOW) -> Purge:
    owner = account.owner()
    assert owner is not None
    asked, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=at)
    deletion.propose(asked, by=Actor.staff(agent), at=at, override="They know.")
    return deletion.approve(asked, by=Actor.staff(lead), at=at)


def mail(kind: str) -> str:
    return " ".join(str(sending.write(Notice.objects.get(kind=kind)).body).split())


def test_what_was_paid_for_is_there_until_the_erasing_begins(
    account: Account, subscription: Subscription, agent: User, lead: User
) -> None:
    found = approved(account, agent, lead)
    subscription.refresh_from_db()
    assert subscription.ends_at == subscription.paid_through(NOW), "it is not renewed"
    assert standing_of(account, found.due_at - timedelta(seconds=1)).subscription == subscription
    assert not starting.start(found, at=found.due_at), "nobody has said that nothing more is charged"
    say_done(Wish.objects.get(), Want.END, by=Actor.staff(lead), at=found.due_at)
    found.refresh_from_db()
    assert starting.start(found, at=found.due_at)
    subscription.refresh_from_db()
    assert (subscription.ends_at, subscription.settled_at) == (found.due_at, found.due_at)
    assert BillingRecord.objects.get().ended_at == found.due_at
    assert [event.kind for event in account.events.filter(facts__subscription=subscription.pk).order_by("id")] == [
        "subscription.started",
        "cancellation.requested",
        "billing.stopped",
        "subscription.ended",
    ]


def test_called_off_it_goes_on_as_before(
    account: Account, subscription: Subscription, agent: User, lead: User, owner: User
) -> None:
    approved(account, agent, lead)
    assert deletion.call_off(account, by=Actor.owner(owner), at=NOW + 6 * DAY)
    subscription.refresh_from_db()
    assert (subscription.ends_at, subscription.next_reminder_at) == (None, None)
    assert Cancellation.objects.get().withdrawn_at == NOW + 6 * DAY
    assert "The Pro subscription goes on, and renews on Thursday, April 16, 2026" in mail(
        "accounts/deletion_called_off"
    )


def test_the_owner_is_told_once_and_nothing_that_is_not_so(
    account: Account, subscription: Subscription, agent: User, lead: User
) -> None:
    approved(account, agent, lead)
    assert "The Pro subscription is not renewed any more; it works until the account is deleted." in mail(
        "accounts/deletion_approved"
    )
    assert set(Notice.objects.values_list("kind", flat=True)) == {
        "accounts/request_received",
        "accounts/deletion_approved",
    }


def test_a_cycle_that_ends_before_the_erasing_is_said_to(
    account: Account, agent: User, lead: User, owner: User
) -> None:
    subscription = subscribe(account, at=NOW - 26 * DAY)
    found = approved(account, agent, lead)
    end = subscription.paid_through(NOW)
    assert end < found.due_at
    assert "it ends on Thursday, March 19, 2026" in mail("accounts/deletion_approved")
    settling.settle_due(end)
    # What has ended by itself stays ended; nothing of what was paid for was lost.
    assert deletion.call_off(account, by=Actor.owner(owner), at=end)
    subscription.refresh_from_db()
    assert subscription.ends_at == end
    assert "goes on, and renews" not in mail("accounts/deletion_called_off")


def test_what_the_owner_had_cancelled_before_stays_cancelled(
    account: Account, subscription: Subscription, agent: User, lead: User, owner: User
) -> None:
    own, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    approved(account, agent, lead)
    deletion.call_off(account, by=Actor.owner(owner), at=NOW + DAY)
    own.refresh_from_db()
    assert (own.withdrawn_at, Cancellation.objects.count()) == (None, 1)


def test_the_subscription_alone_is_not_kept_while_the_account_is_to_go(
    account: Account, agent: User, lead: User, sign_in: SignIn
) -> None:
    at = clock.now()
    subscription = subscribe(account, at=at - DAY)
    approved(account, agent, lead, at=at)
    stopped = Cancellation.objects.get()
    with pytest.raises(ToBeDeleted):
        withdraw(stopped, by=owner_of(subscription), at=at)
    client = sign_in(account.owner())
    for page in ("/user/subscription/", "/user/subscription/cancellation/"):
        words = client.get(page).content.decode()
        assert "Keep my subscription" not in words
        assert "Nothing is deleted." not in words.split("<main")[1]
    about = {"account": str(account.pk), "shown": stopped.reference}
    answer = client.post("/user/subscription/cancellation/withdraw/", about)
    assert answer.status_code == 409
    assert "Call the deletion off: then the subscription goes on as before." in answer.content.decode()


def test_nobody_is_reminded_of_an_end_while_everything_is_to_go(
    account: Account, subscription: Subscription, agent: User, lead: User, owner: User
) -> None:
    cancel(subscription, by=owner_of(subscription), at=NOW)
    end = subscription.paid_through(NOW)
    approved(account, agent, lead, at=end - 8 * DAY)
    assert reminders.remind_due(end - 6 * DAY) == 0
    deletion.call_off(account, by=Actor.owner(owner), at=end - 5 * DAY)
    assert reminders.remind_due(end - 5 * DAY) == 1


def test_a_contract_and_what_is_to_begin_end_when_the_erasing_begins(account: Account, agent: User, lead: User) -> None:
    contract = subscribe(account, at=NOW - DAY, channel=Channel.DATADOG_SALES, ends_at=NOW + 300 * DAY)
    ahead = subscribe(
        account, at=NOW, starts_at=NOW + 300 * DAY, channel=Channel.DATADOG_SALES, ends_at=NOW + 600 * DAY
    )
    found = approved(account, agent, lead)
    contract.refresh_from_db()
    assert contract.ends_at == NOW + 300 * DAY
    assert starting.start(found, at=found.due_at)
    for row, end in ((contract, found.due_at), (ahead, found.due_at)):
        row.refresh_from_db()
        assert (row.ends_at, row.settled_at) == (end, end)


def test_who_has_bought_since_has_come_back_and_nothing_is_erased(account: Account, agent: User, lead: User) -> None:
    found = approved(account, agent, lead)
    subscribe(account, at=NOW + DAY, channel=Channel.GITHUB_MARKETPLACE)
    assert not starting.start(found, at=found.due_at)
    found.refresh_from_db()
    assert found.waiting_for == "the end of a live subscription (pro)"


def test_nobody_chooses_the_deletion_as_a_reason(account: Account, sign_in: SignIn) -> None:
    subscribe(account, at=clock.now() - DAY)
    client = sign_in(account.owner())
    assert press(client, "/user/subscription/cancellation/", reason=Reason.DELETION.value).status_code == 422
    assert not Cancellation.objects.exists()


def test_what_was_paid_back_does_not_go_on_when_the_deletion_is_called_off(
    account: Account, subscription: Subscription, agent: User, lead: User, owner: User
) -> None:
    approved(account, agent, lead)
    by = Actor.staff(lead)
    refund, _new = propose(
        subscription, cents=4900, currency="USD", ends=Ends.CYCLE_END, payment_reference="pay_1", by=by, at=NOW
    )
    approve(refund, by=by, at=NOW)
    say_paid(refund, payment_reference="re_1", by=by, at=NOW)
    assert carry_out_due(NOW) == 1
    assert deletion.call_off(account, by=Actor.owner(owner), at=NOW + DAY)
    subscription.refresh_from_db()
    assert subscription.ends_at == subscription.paid_through(NOW)
    assert "goes on, and renews" not in mail("accounts/deletion_called_off")


def test_a_hold_keeps_the_data_and_the_subscription_ends_with_its_cycle(
    account: Account, agent: User, lead: User, other_lead: User
) -> None:
    subscription = subscribe(account, at=NOW - 26 * DAY)
    found = approved(account, agent, lead)
    hold = holds.set_hold(account, reason="A court", until=NOW + 60 * DAY, by=Actor.staff(lead), at=NOW)
    holds.confirm_hold(hold, by=Actor.staff(other_lead), at=NOW)
    assert not starting.start(found, at=found.due_at)
    assert settling.settle_due(found.due_at) == 1
    subscription.refresh_from_db()
    assert subscription.ends_at == subscription.paid_through(NOW)
