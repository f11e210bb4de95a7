"""Subscriptions that the vendor's own billing tells of: recorded, changed, cancelled, kept and ended by the API."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from accounts.core import clock
from accounts.core.clock import rfc3339
from accounts.customers.history import Actor
from accounts.models import Account, Event, Notice, User
from subscriptions.ending.cancellation import EndsInBilling, cancel, withdraw
from subscriptions.ending.settling import settle_due
from subscriptions.models import Cancellation, Channel, Plan, Subscription
from tests.accounts.api.calling import Caller, problem
from tests.accounts.erasure.purging import erase_all
from tests.factories import NOW, AccountFactory, owner_of, subscribe

pytestmark = pytest.mark.django_db
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PRO = {"plan": "pro", "interval": "monthly", "seats": 3, "cents": 4900, "started_at": "2026-01-31T10:00:00+01:00"}


def recorded(call: Caller, account: Account, **changes: Any) -> Any:
    response = call.post(f"accounts/{account.pk}/subscriptions/", PRO | changes, Idempotency_Key=f"key {changes}")
    assert response.status_code == 201, response.content
    return response.json()


def test_a_subscription_is_recorded_with_its_real_dates(call: Caller, account: Account) -> None:
    told = recorded(call, account, external_id="sub-1", order_reference="PO 7")
    found = Subscription.objects.get()
    assert told == {
        "id": found.pk,
        "version": 1,
        "account": str(account.pk),
        "external_id": "sub-1",
        "channel": "direct",
        "plan": "pro",
        "interval": "monthly",
        "seats": 3,
        "cents": 4900,
        "currency": "USD",
        "order_reference": "PO 7",
        "started_at": "2026-01-31T09:00:00Z",
        "trial_ends_at": None,
        "ends_at": None,
        "cancellation": None,
    }
    # The 31st stays the 31st.
    assert rfc3339(found.paid_through(NOW)) == "2026-03-31T09:00:00Z"
    event = Event.objects.get(account=account)
    assert (event.kind, event.actor_kind, event.actor_id) == ("subscription.started", *call.actor)
    assert call.get(f"accounts/{account.pk}/entitlements/").json()["plan"] == "pro"


def test_the_same_one_told_again_is_the_one_that_is_there(call: Caller, account: Account) -> None:
    told = recorded(call, account, external_id="sub-1")
    path = f"accounts/{account.pk}/subscriptions/"
    again = call.post(path, PRO | {"external_id": "sub-1"}, Idempotency_Key="other")
    assert (again.status_code, again.json()) == (200, told)
    other = call.post(path, PRO | {"external_id": "sub-1", "seats": 4}, Idempotency_Key="third")
    assert problem(other) == (409, "external_id_taken")
    elsewhere = call.post(
        f"accounts/{AccountFactory().pk}/subscriptions/", PRO | {"external_id": "sub-1"}, Idempotency_Key="x"
    )
    assert problem(elsewhere) == (409, "external_id_taken")
    assert Subscription.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"plan": "nothing"}, 422, "invalid"),
        ({"plan": "free"}, 422, "invalid"),
        ({"interval": "weekly"}, 422, "invalid"),
        ({"seats": 0}, 422, "invalid"),
        ({"seats": 1.5}, 422, "invalid"),
        ({"cents": -1}, 422, "invalid"),
        ({"cents": "4900"}, 422, "invalid"),
        ({"cents": 2_000_000_001}, 422, "invalid"),
        ({"currency": "usd"}, 422, "invalid"),
        ({"currency": "XTS", "cents": None}, 409, "no_list_price"),
        ({"started_at": "2026-01-31T10:00:00"}, 422, "invalid"),
        ({"started_at": "2026-01-31"}, 422, "invalid"),
        ({"started_at": 1769850000}, 422, "invalid"),
        ({"started_at": "0001-01-01T00:00:00Z"}, 422, "invalid"),
        ({"started_at": "9999-12-31T23:59:59Z"}, 422, "invalid"),
        ({"started_at": "2026-02-30T10:00:00Z"}, 422, "invalid"),
        ({"trial_ends_at": "2026-01-30T10:00:00Z"}, 422, "invalid"),
        ({"external_id": " "}, 422, "invalid"),
        ({"surprise": 1}, 422, "invalid"),
    ],
)
def test_what_can_not_be_is_not_recorded(
    call: Caller, account: Account, changes: dict[str, Any], status: int, code: str
) -> None:
    refused = call.post(f"accounts/{account.pk}/subscriptions/", PRO | changes, Idempotency_Key="key")
    assert problem(refused) == (status, code)
    assert not Subscription.objects.exists()
    assert not Event.objects.filter(account=account).exists()


def test_an_account_has_one_at_a_time_but_may_have_one_ahead(call: Caller, account: Account) -> None:
    first = subscribe(account, at=NOW, ends_at=NOW + 30 * DAY)
    path = f"accounts/{account.pk}/subscriptions/"
    refused = call.post(path, PRO | {"started_at": rfc3339(NOW + 29 * DAY)}, Idempotency_Key="1")
    assert problem(refused) == (409, "another_subscription")
    ahead = call.post(path, PRO | {"started_at": rfc3339(NOW + 30 * DAY)}, Idempotency_Key="2")
    assert ahead.status_code == 201
    listed = call.get(path).json()["items"]
    assert [row["id"] for row in listed] == [first.pk, ahead.json()["id"]]


def test_a_change_goes_by_list_price_unless_told(call: Caller, account: Account) -> None:
    told = recorded(call, account)
    path = f"subscriptions/{told['id']}/"
    etag = call.get(path)["ETag"]
    assert problem(call.patch(path, {"seats": 5})) == (428, "precondition_required")
    seats = call.patch(path, {"seats": 5}, If_Match=etag)
    assert (seats.json()["seats"], seats.json()["cents"], seats.json()["version"]) == (5, 4900, 2)
    assert problem(call.patch(path, {"seats": 6}, If_Match=etag)) == (412, "stale")
    listed = {
        (plan["code"], price["interval"]): price["cents"]
        for plan in call.get("plans/").json()["items"]
        for price in plan["prices"]
    }
    bigger = call.patch(path, {"plan": "enterprise"}, If_Match=seats["ETag"])
    if ("enterprise", "monthly") in listed:
        assert bigger.json()["cents"] == listed["enterprise", "monthly"]
    else:
        assert problem(bigger) == (409, "no_list_price")
    yearly = call.patch(path, {"interval": "annual"}, If_Match="*")
    assert yearly.json()["cents"] == listed[yearly.json()["plan"], "annual"]
    kinds = Event.objects.filter(kind="subscription.changed").values_list("actor_kind", flat=True)
    assert set(kinds) == {"api"}


def test_the_owner_cancels_and_the_api_says_so(call: Caller, account: Account, owner: User, sign_in: Any) -> None:
    from tests.pages import press

    told = recorded(call, account)
    before = call.get(f"subscriptions/{told['id']}/")
    press(sign_in(owner), "/user/subscription/cancellation/", reason="unused")
    after = call.get(f"subscriptions/{told['id']}/")
    cancellation = Cancellation.objects.get()
    assert after["ETag"] != before["ETag"]
    assert after.json()["ends_at"] == rfc3339(cancellation.effective_at)
    assert after.json()["cancellation"] == {
        "reference": cancellation.reference,
        "requested_at": rfc3339(cancellation.requested_at),
        "reason": "unused",
        "effective_at": rfc3339(cancellation.effective_at),
    }
    assert call.get(f"accounts/{account.pk}/entitlements/").json()["until"] == rfc3339(cancellation.effective_at)


def test_the_vendor_cancels_and_keeps_as_the_page_does(call: Caller, account: Account) -> None:
    told = recorded(call, account)
    path = f"subscriptions/{told['id']}/cancellation/"
    first = call.post(path, {"reason": "unused", "comment": "Said on the phone."})
    again = call.post(path, {})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["ends_at"] == first.json()["cancellation"]["effective_at"]
    assert call.delete(path).status_code == 204
    assert call.delete(path).status_code == 204
    kept = call.get(f"subscriptions/{told['id']}/").json()
    assert (kept["ends_at"], kept["cancellation"]) == (None, None)
    assert sorted(Notice.objects.values_list("kind", flat=True)) == [
        "subscriptions/cancellation_confirmed",
        "subscriptions/cancellation_withdrawn",
    ]
    events = Event.objects.filter(kind__startswith="cancellation.").order_by("id")
    assert [(event.kind, event.actor_kind, event.actor_id) for event in events] == [
        ("cancellation.requested", *call.actor),
        ("cancellation.withdrawn", *call.actor),
    ]


def test_whoever_says_so_sends_no_mail(call: Caller, account: Account) -> None:
    told = recorded(call, account)
    call.post(f"subscriptions/{told['id']}/cancellation/", {"notify": False})
    call.delete(f"subscriptions/{told['id']}/cancellation/?notify=false")
    call.post(
        f"subscriptions/{told['id']}/end/", {"ends_at": rfc3339(clock.now()), "reason": "unpaid", "notify": False}
    )
    assert not Notice.objects.exists()
    assert Event.objects.filter(account=account).count() == 4


def test_a_promise_that_is_not_so_any_more_does_nothing(call: Caller, account: Account) -> None:
    told = recorded(call, account)
    path = f"subscriptions/{told['id']}/cancellation/"
    refused = call.post(path, {"promised_end": "2026-02-28T09:00:00Z"})
    assert problem(refused) == (409, "out_of_date")
    end = rfc3339(Subscription.objects.get().paid_through(clock.now()))
    assert call.post(path, {"promised_end": end}).status_code == 201


def test_an_end_that_has_passed_is_carried_out_and_told(call: Caller, account: Account) -> None:
    told = recorded(call, account)
    ended_at = clock.now() - HOUR
    path = f"subscriptions/{told['id']}/end/"
    done = call.post(path, {"ends_at": rfc3339(ended_at), "reason": "charged_back"})
    assert (done.status_code, done.json()["ends_at"]) == (200, rfc3339(ended_at))
    assert call.post(path, {"ends_at": rfc3339(ended_at), "reason": "charged_back"}).json() == done.json()
    event = Event.objects.get(kind="subscription.ended")
    assert (event.actor_kind, event.facts["reason"], event.facts["ends_at"]) == (
        "api",
        "charged_back",
        ended_at.isoformat(),
    )
    assert [notice.kind for notice in Notice.objects.all()] == ["subscriptions/subscription_ended"]
    assert call.get(f"accounts/{account.pk}/entitlements/").json()["plan"] == "free"
    assert settle_due(clock.now()) == 0
    assert problem(call.delete(f"subscriptions/{told['id']}/cancellation/")) == (409, "already_ended")
    assert problem(call.post(f"subscriptions/{told['id']}/cancellation/", {})) == (409, "already_ended")
    changed = call.patch(f"subscriptions/{told['id']}/", {"seats": 1}, If_Match="*")
    assert problem(changed) == (409, "already_ended")


def test_an_end_before_the_owners_cancellation_takes_effect_when_they_cancelled(call: Caller, account: Account) -> None:
    subscription = subscribe(account, at=clock.now() - 3 * DAY)
    found, _new = cancel(subscription, by=owner_of(subscription), at=clock.now() - DAY)
    done = call.post(
        f"subscriptions/{subscription.pk}/end/", {"ends_at": rfc3339(clock.now() - 2 * DAY), "reason": "unpaid"}
    )
    assert done.json()["ends_at"] == rfc3339(found.requested_at)
    found.refresh_from_db()
    assert (found.effective_at, found.carried_out_at is not None) == (found.requested_at, True)


def test_an_end_ahead_comes_by_itself_and_nobody_keeps_the_subscription_beyond_it(
    call: Caller, account: Account
) -> None:
    told = recorded(call, account)
    ends_at = clock.now() + 2 * DAY
    call.post(f"subscriptions/{told['id']}/cancellation/", {})
    done = call.post(f"subscriptions/{told['id']}/end/", {"ends_at": rfc3339(ends_at), "reason": "cancelled"})
    assert done.json()["ends_at"] == min(rfc3339(ends_at), done.json()["cancellation"]["effective_at"])
    later = call.post(f"subscriptions/{told['id']}/end/", {"ends_at": rfc3339(ends_at + DAY), "reason": "other"})
    assert later.json() == done.json()
    if Subscription.objects.get().billed_until:
        with pytest.raises(EndsInBilling):
            withdraw(Cancellation.objects.get(), by=Actor.system(), at=clock.now())
        assert problem(call.delete(f"subscriptions/{told['id']}/cancellation/")) == (409, "refused")
    with time_machine.travel(ends_at, tick=False):
        assert call.get(f"accounts/{account.pk}/entitlements/").json()["plan"] == "free"
        assert settle_due(ends_at) == 1


def test_a_cancellation_after_an_end_was_told_does_not_move_the_end(call: Caller, account: Account) -> None:
    told = recorded(call, account, started_at=rfc3339(clock.now() - DAY))
    ends_at = clock.now() + 2 * DAY
    call.post(f"subscriptions/{told['id']}/end/", {"ends_at": rfc3339(ends_at), "reason": "cancelled"})
    cancelled = call.post(f"subscriptions/{told['id']}/cancellation/", {})
    assert cancelled.json()["ends_at"] == rfc3339(ends_at)
    assert cancelled.json()["cancellation"]["effective_at"] == rfc3339(ends_at)


def test_one_that_has_not_begun_never_does_if_it_ends_before(call: Caller, account: Account) -> None:
    begins = clock.now() + 10 * DAY
    told = recorded(call, account, started_at=rfc3339(begins))
    call.post(f"subscriptions/{told['id']}/end/", {"ends_at": rfc3339(begins - DAY), "reason": "unpaid"})
    assert call.get(f"accounts/{account.pk}/subscriptions/").json()["items"] == []
    assert Event.objects.filter(kind="subscription.called_off").count() == 1


@pytest.mark.parametrize(
    ("channel", "code"),
    [
        (Channel.GITHUB_MARKETPLACE, "billed_elsewhere"),
        (Channel.AWS_MARKETPLACE, "billed_elsewhere"),
        (Channel.DATADOG_SALES, "contract"),
    ],
)
def test_what_others_bill_is_read_here_and_changed_there(
    call: Caller, account: Account, channel: Channel, code: str
) -> None:
    ends_at = NOW + 400 * DAY if channel == Channel.DATADOG_SALES else None
    found = subscribe(account, at=NOW, channel=channel, ends_at=ends_at)
    path = f"subscriptions/{found.pk}/"
    assert call.get(path).json()["channel"] == channel
    for method, rest, body in (
        ("PATCH", "", {"seats": 2}),
        ("POST", "cancellation/", {}),
        ("DELETE", "cancellation/", None),
        ("POST", "end/", {"ends_at": rfc3339(NOW), "reason": "unpaid"}),
    ):
        assert problem(call(method, path + rest, body, headers={"If-Match": "*"})) == (409, code)
    found.refresh_from_db()
    assert (found.seats, found.ends_at) == (1, ends_at)


def test_a_deletion_that_was_approved_stands_in_the_way_of_keeping(
    call: Caller, account: Account, owner: User, lead: User, other_lead: User
) -> None:
    from accounts.support import deletion
    from accounts.support.requests import RequestKind, ask

    told = recorded(call, account)
    at = clock.now()
    asked, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=at)
    deletion.propose(asked, by=Actor.staff(lead), at=at)
    deletion.approve(asked, by=Actor.staff(other_lead), at=at)
    assert call.get(f"subscriptions/{told['id']}/").json()["cancellation"]["reason"] == "deletion"
    assert problem(call.delete(f"subscriptions/{told['id']}/cancellation/")) == (409, "refused")


def test_of_an_erased_account_nothing_is_told_and_nothing_is_done(call: Caller, account: Account) -> None:
    found = subscribe(account, at=NOW - 60 * DAY, ends_at=NOW - 30 * DAY)
    erase_all(account)
    path = f"subscriptions/{found.pk}/"
    assert problem(call.get(path)) == (410, "erased")
    assert problem(call.patch(path, {"seats": 2}, If_Match="*")) == (410, "erased")
    assert problem(call.post(f"{path}cancellation/", {})) == (410, "erased")
    assert problem(call.delete(f"{path}cancellation/")) == (410, "erased")
    made = call.post(f"accounts/{account.pk}/subscriptions/", PRO, Idempotency_Key="k")
    assert problem(made) == (410, "erased")
    assert problem(call.get(f"subscriptions/{found.pk + 1000}/")) == (404, "not_found")
    assert problem(call.get(f"subscriptions/{10**30}/")) == (404, "not_found")


def test_plans_are_told_with_their_prices(call: Caller) -> None:
    plans = {plan["code"]: plan for plan in call.get("plans/").json()["items"]}
    assert set(plans) == {"free", "pro", "enterprise"}
    assert plans["free"]["prices"] == []
    assert {"interval": "monthly", "cents": 4900, "currency": "USD"} in plans["pro"]["prices"]
    assert Client().get("/api/v1/plans/").status_code == 401


def test_a_plan_that_is_retired_is_neither_told_nor_sold(call: Caller, account: Account) -> None:
    told = recorded(call, account)
    Plan.objects.filter(code="enterprise").update(retired_at=clock.now() - DAY)
    assert [plan["code"] for plan in call.get("plans/").json()["items"]] == ["free", "pro"]
    changed = call.patch(f"subscriptions/{told['id']}/", {"plan": "enterprise", "cents": 1}, If_Match="*")
    assert problem(changed) == (409, "not_sold")
    path = f"accounts/{AccountFactory().pk}/subscriptions/"
    new = PRO | {"plan": "enterprise", "started_at": rfc3339(clock.now())}
    assert problem(call.post(path, new, Idempotency_Key="k")) == (409, "not_sold")
    # What was sold before may be written down late.
    assert call.post(path, PRO | {"plan": "enterprise"}, Idempotency_Key="l").status_code == 201
