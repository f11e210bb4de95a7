"""From a list to a bulk run: choose rows, say why, see what would happen, confirm."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.core import clock
from accounts.core.refusal import Refused
from accounts.customers.history import Actor
from accounts.desk.actions.action import act_named
from accounts.desk.bulk import run as bulk
from accounts.jobs import sweeps
from accounts.models import Account, BulkItem, BulkRun, Delivery, Event, StaffAction, User
from subscriptions.models import Subscription
from tests.factories import AccountFactory, subscribe

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
LIST = "/admin/subscriptions/subscription/"
COMPARED = ["owner_email", "card_digits"]


def rows(count: int) -> list[Subscription]:
    at = clock.now()
    return [subscribe(AccountFactory(), at=at) for _number in range(count)]


def test_the_menu_of_a_list_offers_what_the_reader_may_do(
    account: Account, agent: User, lead: User, sign_in: SignIn
) -> None:
    subscribe(account, at=clock.now())
    of_agent, of_lead = (sign_in(who).get(LIST).content.decode() for who in (agent, lead))
    assert '<option value="cancel">' in of_agent
    assert '<option value="end_now">' not in of_agent
    assert '<option value="end_now">' in of_lead
    assert "delete_selected" not in of_lead
    # What hangs on the row is done one by one.
    assert '<option value="propose_refund">' not in of_lead


def test_rows_chosen_in_a_list_become_a_run_that_is_rehearsed_confirmed_and_done(lead: User, sign_in: SignIn) -> None:
    found, client = rows(3), sign_in(lead)
    chosen = {"action": "cancel", "_selected_action": [str(found[0].pk), str(found[1].pk)]}
    form = client.post(LIST, chosen)
    assert form.status_code == 200
    assert "For 2 rows." in form.content.decode()
    assert not BulkRun.objects.exists()

    keys = ",".join(chosen["_selected_action"])
    posted = {"rows": keys, "reason": "The product ends", "why": "other", "identity": COMPARED}
    begun = client.post("/admin/bulk/begin/cancel/", posted)
    run = BulkRun.objects.get()
    assert begun["Location"] == f"/admin/bulk/{run.pk}/"
    assert run.total == 2

    sweeps.named("bulk").run(clock.now())
    assert Subscription.objects.filter(ends_at=None).count() == 3
    assert all("the subscription ends on" in item.would_say for item in BulkItem.objects.all())

    client.post(f"/admin/bulk/{run.pk}/confirm/")
    sweeps.named("bulk").run(clock.now() + timedelta(seconds=1))
    assert [subscription.pk for subscription in Subscription.objects.filter(ends_at=None)] == [found[2].pk]
    assert StaffAction.objects.filter(act="cancel", reason="The product ends", by=lead).count() == 2
    assert Event.objects.filter(kind="cancellation.requested", facts__identity=COMPARED).count() == 2


def test_select_all_across_pages_takes_what_the_list_shows(lead: User, sign_in: SignIn) -> None:
    found = rows(3)
    first = str(found[0].pk)
    posted = {"action": "end_now", "_selected_action": [first], "select_across": "1"}
    assert "For 3 rows." in sign_in(lead).post(LIST, posted).content.decode()


def test_dates_reach_every_row_as_they_were_typed(lead: User, sign_in: SignIn) -> None:
    accounts = [AccountFactory(), AccountFactory()]
    tomorrow = clock.now() + timedelta(days=1)
    posted = {
        "rows": ",".join(str(account.pk) for account in accounts),
        "reason": "Case 12",
        "until_0": f"{tomorrow:%Y-%m-%d}",
        "until_1": "12:00",
    }
    assert sign_in(lead).post("/admin/bulk/begin/hold/", posted).status_code == 302
    sweeps.named("bulk").run(clock.now())
    assert [item.refused_at for item in BulkItem.objects.all()] == [None, None]
    assert all(item.would_say.startswith("The data is held until") for item in BulkItem.objects.all())


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"reason": ""}, 422), ({"rows": ""}, 409), ({"rows": "x"}, 404), ({"identity": ["card_digits"]}, 422)],
)
def test_a_form_that_is_wrong_begins_nothing(
    changes: dict[str, object], status: int, lead: User, sign_in: SignIn
) -> None:
    posted = {"rows": str(rows(1)[0].pk), "reason": "x", "why": "", "identity": COMPARED, **changes}
    assert sign_in(lead).post("/admin/bulk/begin/cancel/", posted).status_code == status
    assert not BulkRun.objects.exists()


def test_too_many_rows_are_told_so_before_the_form(
    lead: User, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST", 2)
    found = rows(3)
    posted = {"action": "end_now", "_selected_action": [str(found[0].pk)], "select_across": "1"}
    assert "At most 2 rows at once" in sign_in(lead).post(LIST, posted).content.decode()
    everything = {"rows": ",".join(str(row.pk) for row in found), "reason": "x"}
    assert sign_in(lead).post("/admin/bulk/begin/end_now/", everything).status_code == 409
    assert not BulkRun.objects.exists()


def test_a_forged_form_is_refused_and_written_down(agent: User, owner: User, sign_in: SignIn) -> None:
    posted = {"rows": str(rows(1)[0].pk), "reason": "x"}
    for who in (agent, owner):
        assert sign_in(who).post("/admin/bulk/begin/end_now/", posted).status_code == 403
        assert sign_in(who).post(LIST, {"action": "end_now", "_selected_action": ["1"]}).status_code in (302, 403)
    assert sign_in(agent).get("/admin/bulk/begin/cancel/").status_code == 405
    assert sign_in(agent).post("/admin/bulk/begin/unknown/", posted).status_code == 404
    assert Event.objects.filter(kind="desk.denied", facts__door="bulk_begin").count() == 2
    assert not BulkRun.objects.exists()
    assert not Subscription.objects.exclude(ends_at=None).exists()


def test_a_run_begins_with_keys_and_names_and_never_reads_what_may_be_large(
    lead: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five thousand deliveries are a gigabyte of bodies."""
    at = clock.now()
    for number in range(5):
        Delivery.objects.create(
            source="github",
            delivery_id=str(number),
            event="ping",
            body=b"x" * 100_000,
            digest=b"x" * 32,
            received_at=at,
            alert="Look",
        )
    act, deliveries = act_named("acknowledge"), Delivery.objects.order_by("-pk")
    with CaptureQueriesContext(connection) as asked:
        run = bulk.begin(act, deliveries, {}, by=Actor.staff(lead), at=at)
    assert [item.target_id for item in run.items.order_by("pk")] == [str(row.pk) for row in deliveries]
    assert not [query["sql"] for query in asked if '"marketplace_delivery"."body"' in query["sql"]]
    assert len(asked) < 12

    run.delete()
    monkeypatch.setattr(bulk, "MOST", 4)
    with CaptureQueriesContext(connection) as asked, pytest.raises(Refused):
        bulk.begin(act, deliveries, {}, by=Actor.staff(lead), at=at)
    # Too many are refused by their keys alone.
    assert [query["sql"].partition(" FROM ")[0] for query in asked] == ['SELECT "marketplace_delivery"."id" AS "pk"']
