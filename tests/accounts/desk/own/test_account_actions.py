"""Acts: asked for a reason, rehearsed without a trace, performed once, with who and why."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client

from accounts.core import clock
from accounts.core.refusal import Refused
from accounts.customers.history import Actor
from accounts.desk.actions.action import act_named, rehearse
from accounts.desk.actions.log import MAX_REASON
from accounts.models import Account, Event, Notice, StaffAction, User
from subscriptions.models import Cancellation, Channel, Subscription
from tests.factories import NOW, subscribe

SignIn = Callable[[User | None], Client]
COMPARED = ["owner_email", "card_digits"]
VALUES = {"reason": "Case 81", "why": "unused", "identity": COMPARED}


def url(name: str, pk: object) -> str:
    return f"/admin/act/{name}/{pk}/"


@pytest.mark.django_db
def test_a_rehearsal_shows_what_would_happen_and_changes_nothing(account: Account, agent: User) -> None:
    subscription = subscribe(account)
    before = Event.objects.count()
    rehearsal = rehearse(act_named("cancel"), subscription, VALUES, by=Actor.staff(agent), at=NOW)
    assert rehearsal.story == ["Subscription cancelled"]
    assert [(mail.to, mail.subject.split(" (")[0]) for mail in rehearsal.mails] == [
        ("owner@example.org", "Your subscription is cancelled")
    ]
    assert "takes effect" in rehearsal.mails[0].text.lower()
    assert rehearsal.lines[0] == "Subscription cancelled"
    assert rehearsal.lines[1].startswith("Mail to owner@example.org: Your subscription is cancelled")
    subscription.refresh_from_db()
    assert subscription.ends_at is None
    assert (Cancellation.objects.count(), Notice.objects.count(), StaffAction.objects.count()) == (0, 0, 0)
    assert Event.objects.count() == before


@pytest.mark.django_db
def test_an_act_is_the_transition_with_who_did_it_and_why(account: Account, agent: User) -> None:
    subscription = subscribe(account)
    said = act_named("cancel").perform(subscription, VALUES, by=Actor.staff(agent), at=NOW)
    cancellation = Cancellation.objects.get()
    assert said.startswith(f"{cancellation.reference}: the subscription ends on ")
    assert (cancellation.requested_by, cancellation.reason) == (agent, "unused")
    deed = StaffAction.objects.get()
    assert (deed.account_id, deed.act, deed.reason, deed.by, deed.at) == (account.pk, "cancel", "Case 81", agent, NOW)
    assert deed.target == f"subscriptions.subscription:{subscription.pk}"
    story = [(event.kind, event.actor_kind, event.actor_id) for event in account.events.story()]
    assert story[:2] == [("desk.cancel", "staff", agent.pk), ("cancellation.requested", "staff", agent.pk)]
    assert "Case 81" not in str(account.events.story()[0].facts)


@pytest.mark.django_db
def test_the_second_time_nothing_is_written(account: Account, agent: User) -> None:
    subscription, by = subscribe(account), Actor.staff(agent)
    act_named("cancel").perform(subscription, VALUES, by=by, at=NOW)
    events = Event.objects.count()
    said = act_named("cancel").perform(subscription, VALUES, by=by, at=NOW + timedelta(minutes=1))
    assert said == "Nothing had to be changed: it was so already."
    assert (StaffAction.objects.count(), Event.objects.count(), Notice.objects.count()) == (1, events, 1)


@pytest.mark.django_db
def test_a_refusal_says_why_and_leaves_nothing(account: Account, agent: User) -> None:
    subscription = subscribe(account, channel=Channel.AWS_MARKETPLACE)
    before = Event.objects.count()
    with pytest.raises(Refused, match="bought through AWS Marketplace is not cancelled here"):
        act_named("cancel").perform(subscription, VALUES, by=Actor.staff(agent), at=NOW)
    with pytest.raises(Refused, match="Only active members of staff"):
        act_named("cancel").perform(subscription, VALUES, by=Actor.system(), at=NOW)
    assert (StaffAction.objects.count(), Event.objects.count()) == (0, before)


@pytest.mark.django_db
def test_the_page_asks_for_a_reason_shows_what_will_happen_and_then_does_it(
    account: Account, agent: User, sign_in: SignIn
) -> None:
    subscription = subscribe(account, at=clock.now())
    client = sign_in(agent)
    assert "Cancel on behalf of the owner" in client.get(url("cancel", subscription.pk)).content.decode()

    without = client.post(url("cancel", subscription.pk), {"reason": " "})
    assert without.status_code == 422
    assert "This field is required" in without.content.decode()
    assert client.post(url("cancel", subscription.pk), {"reason": "x" * (MAX_REASON + 1)}).status_code == 422

    shown = client.post(url("cancel", subscription.pk), {"reason": "<b>Case 81</b>", "identity": COMPARED})
    assert shown.status_code == 200
    page = shown.content.decode()
    assert "Mail to owner@example.org" in page
    assert "&lt;b&gt;Case 81&lt;/b&gt;" in page
    assert not Cancellation.objects.exists()

    done = client.post(url("cancel", subscription.pk), {"reason": "Case 81", "identity": COMPARED, "confirmed": "yes"})
    assert done.status_code == 302
    assert done["Location"] == f"/admin/accounts/account/{account.pk}/change/"
    assert Cancellation.objects.get().requested_by == agent


@pytest.mark.django_db
def test_a_stale_page_is_refused_with_nothing_changed(account: Account, agent: User, sign_in: SignIn) -> None:
    at = clock.now()
    subscription = subscribe(account, at=at - timedelta(days=60), ends_at=at - timedelta(minutes=1))
    response = sign_in(agent).post(
        url("cancel", subscription.pk), {"reason": "Case 81", "identity": COMPARED, "confirmed": "yes"}
    )
    assert response.status_code == 409
    assert "The subscription is over" in response.content.decode()
    assert "Nothing was changed." in response.content.decode()
    assert not StaffAction.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "pk"), [("unknown", "1"), ("cancel", "999999"), ("cancel", "x"), ("hold", "x")])
def test_what_is_not_there_is_not_found(name: str, pk: str, lead: User, sign_in: SignIn) -> None:
    assert sign_in(lead).get(url(name, pk)).status_code == 404


@pytest.mark.django_db
def test_members_do_not_see_the_lines_of_the_desk(account: Account, owner: User, agent: User, sign_in: SignIn) -> None:
    subscription = subscribe(account, at=clock.now())
    act_named("cancel").perform(subscription, VALUES, by=Actor.staff(agent), at=clock.now())
    page = sign_in(owner).get("/user/subscription/").content.decode()
    assert "Subscription cancelled" in page
    assert "Cancel on behalf" not in page
    assert "Case 81" not in page


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.concurrency
def test_two_members_of_staff_at_once_cancel_once(account: Account, agent: User, lead: User) -> None:
    subscription = subscribe(account)
    barrier = threading.Barrier(2)

    def act(user: User) -> str:
        barrier.wait(timeout=20)
        try:
            found = Subscription.objects.get(pk=subscription.pk)
            return act_named("cancel").perform(found, VALUES, by=Actor.staff(user), at=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        said = list(threads.map(act, [agent, lead]))
    assert sum(text.startswith("Nothing had to be changed") for text in said) == 1
    assert (Cancellation.objects.count(), StaffAction.objects.count(), Notice.objects.count()) == (1, 1, 1)
