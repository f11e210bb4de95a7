"""The feed of events: pages in order, types, places that are too old, and what no reader may see."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.events.forgetting import forget_old
from accounts.events.message import EventMessage
from accounts.events.publishing import publish_due
from accounts.models import Account
from tests.accounts.api.calling import Caller, pointers, problem

MAY = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = 3_600_000_000


def tell(account: Account, purges: range) -> None:
    for purge in purges:
        history.record(account.pk, AccountEvent.PURGE_STARTED, at=MAY, by=Actor.system(), purge=purge, cause="x")


def test_a_reader_gets_everything_once_in_order_page_by_page_and_goes_on_from_there(
    call: Caller, account: Account
) -> None:
    tell(account, range(5))
    publish_due(MAY)
    seen, after = [], ""
    for _page in range(3):
        page = call.get(f"events/?limit=2&after={after}").json()
        seen += [item["data"]["purge"] for item in page["items"]]
        after = page["next"]
    assert seen == [0, 1, 2, 3, 4]
    assert call.get(f"events/?after={after}").json() == {"items": [], "next": after}
    tell(account, range(5, 7))
    assert call.get(f"events/?after={after}").json()["items"] == []
    publish_due(MAY)
    again = call.get(f"events/?after={after}").json()["items"]
    assert [(item["data"]["purge"], item["data"]["sequence"]) for item in again] == [(5, 6), (6, 7)]


def test_an_item_is_what_endpoints_get_with_its_id_beside_it(call: Caller, account: Account) -> None:
    tell(account, range(1))
    publish_due(MAY)
    message = EventMessage.objects.get()
    (item,) = call.get("events/").json()["items"]
    assert item.pop("id") == str(message.webhook_id)
    assert list(item) == ["type", "timestamp", "data"]
    assert list(item["data"])[:4] == ["event", "account", "sequence", "recorded_at"]


def test_types_leave_out_the_others_and_the_place_moves_on_all_the_same(call: Caller, account: Account) -> None:
    tell(account, range(2))
    history.record(
        account.pk, AccountEvent.PURGE_VERIFIED, at=MAY, by=Actor.system(), purge=1, certificate=3, deadline_met=True
    )
    publish_due(MAY)
    page = call.get("events/?types=account.erased, account.created").json()
    assert [(item["type"], item["data"]["certificate"]) for item in page["items"]] == [("account.erased", 3)]
    assert call.get(f"events/?after={page['next']}").json()["items"] == []


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "٣", "9223372036854775808", "0" * 20])
def test_what_is_no_place_of_ours_is_refused(call: Caller, after: str) -> None:
    refused = call.get(f"events/?after={after}")
    assert problem(refused) == (422, "invalid")
    assert pointers(refused) == ["query:after"]


@pytest.mark.parametrize("query", ["types=account.unknown", "types=account.erased,", "limit=0", "limit=201"])
def test_a_type_or_a_limit_that_there_is_not_is_refused(call: Caller, query: str) -> None:
    refused = call.get(f"events/?{query}")
    assert problem(refused) == (422, "invalid")
    assert pointers(refused) == [f"query:{query.partition('=')[0]}"]


def test_a_reader_that_was_away_for_longer_than_messages_are_kept_is_told_so(call: Caller, account: Account) -> None:
    tell(account, range(1))
    publish_due(MAY)
    after = int(call.get("events/").json()["next"])
    old = after - 31 * 24 * HOUR
    assert problem(call.get(f"events/?after={old}")) == (410, "events_gone")
    assert call.get(f"events/?after={old + 2 * 24 * HOUR}").status_code == 200


def test_the_place_of_a_reader_moves_on_in_a_quiet_time(call: Caller) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT (extract(epoch FROM now()) * 1000000)::bigint")
        (now,) = cursor.fetchone()
    place = int(call.get(f"events/?after={now - 29 * 24 * HOUR}").json()["next"])
    assert now - HOUR <= place < now - HOUR + 60_000_000
    assert call.get(f"events/?after={now}").json()["next"] == str(now)


def test_messages_go_after_thirty_days_and_their_sequence_when_its_account_has_gone(account: Account) -> None:
    tell(account, range(2))
    publish_due(MAY)
    first, last = EventMessage.objects.order_by("id").values_list("recorded_at", flat=True)
    forget_old(first + timedelta(days=30))
    assert EventMessage.objects.count() == 2
    forget_old(last + timedelta(days=30))
    assert EventMessage.objects.count() == 1
    forget_old(last + timedelta(days=30, seconds=1))
    assert EventMessage.objects.count() == 0
    tell(account, range(1))
    publish_due(MAY)
    assert EventMessage.objects.get().sequence == 3


def test_a_token_needs_the_scope(db: None, account: Account) -> None:
    assert problem(Caller("accounts:read").get("events/")) == (403, "missing_scope")
    assert Caller("events:read", name="reader").get("events/").status_code == 200
