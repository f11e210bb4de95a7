"""The page that tells an account's story, and how it is found."""

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.blueprints.event_kinds import BlueprintEvent
from accounts.core import clock
from accounts.customers import history
from accounts.customers.history import Actor
from accounts.desk.account_page import timeline
from accounts.desk.account_page.search import find
from accounts.desk.actions.action import ActEvent
from accounts.models import Account, Membership, Role, User
from accounts.support.requests import RequestKind, ask
from subscriptions.ending.cancellation import cancel
from tests.accounts.erasure.purging import erase_all
from tests.factories import NOW, AccountFactory, BlueprintFactory, UserFactory, owner_of, subscribe

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
MINUTE = timedelta(minutes=1)


def page_of(client: Client, account_id: uuid.UUID, **query: str) -> str:
    response = client.get(f"/admin/accounts/account/{account_id}/change/", query)
    assert response.status_code == 200
    return response.content.decode()


def test_one_page_shows_plan_people_requests_and_the_story(
    account: Account, owner: User, agent: User, sign_in: SignIn
) -> None:
    subscription = subscribe(account)
    cancellation, _new = cancel(
        subscription, by=owner_of(subscription), at=NOW, reason="other", comment="<script>alert(1)</script>"
    )
    made, _new = ask(account, kind=RequestKind.OTHER, message="Hello", by=Actor.owner(owner), at=NOW)
    page = page_of(sign_in(agent), account.pk)
    for text in ("Harbour", str(account.pk), "Pro", cancellation.reference, made.reference, owner.email):
        assert text in page
    assert "Subscription cancelled" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page


def test_an_account_that_has_been_erased_still_has_its_story_and_certificate(
    account: Account, agent: User, sign_in: SignIn
) -> None:
    subscribe(account, at=NOW - timedelta(days=40), ends_at=NOW)
    erase_all(account, NOW)
    page = page_of(sign_in(agent), account.pk)
    assert "An account that has been erased" in page
    assert "Certificate 1" in page
    assert "Harbour" not in page
    assert "All data erased, and counted again" in page
    assert "kept until" in page


def test_an_unknown_account_is_not_found(agent: User, sign_in: SignIn) -> None:
    client = sign_in(agent)
    assert client.get(f"/admin/accounts/account/{uuid.uuid4()}/change/").status_code == 404
    assert client.get("/admin/accounts/account/x/change/").status_code == 404


def test_the_story_is_paged_without_losing_or_repeating_a_line(account: Account) -> None:
    for number in range(timeline.PAGE + 25):
        # Three lines an instant: a page's end would tear some apart.
        history.record(account.pk, ActEvent(f"kind.{number}", ""), at=NOW + (number // 3) * MINUTE, by=Actor.system())
    told, before = [], NOW + timedelta(days=1)
    pages = 0
    while True:
        page = timeline.story_of(account.pk, before=before)
        told += [line.what for line in page.lines]
        pages += 1
        if page.older is None:
            break
        before = page.older
    assert pages == 2
    assert told == [f"kind.{number}" for number in reversed(range(timeline.PAGE + 25))]


def test_an_instant_with_more_lines_than_a_page_is_told_whole(account: Account) -> None:
    for number in range(timeline.PAGE * 2 + 5):
        history.record(account.pk, ActEvent(f"kind.{number}", ""), at=NOW, by=Actor.system())
    page = timeline.story_of(account.pk, before=NOW)
    assert (len(page.lines), page.older) == (timeline.PAGE * 2 + 5, None)


def test_a_page_of_the_story_links_to_the_older_ones(account: Account, agent: User, sign_in: SignIn) -> None:
    for number in range(timeline.PAGE + 1):
        history.record(account.pk, ActEvent(f"kind.{number}", ""), at=NOW + number * MINUTE, by=Actor.system())
    client = sign_in(agent)
    assert "kind.0" not in page_of(client, account.pk)
    older = page_of(client, account.pk, before=NOW.isoformat())
    assert "kind.0" in older
    assert "kind.1<" not in older
    assert "kind.40" in page_of(client, account.pk, before="yesterday")


def test_the_page_takes_the_same_statements_however_much_happened(
    account: Account, owner: User, agent: User, sign_in: SignIn
) -> None:
    client = sign_in(agent)
    page_of(client, account.pk)

    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            page_of(client, account.pk)
        return len(captured)

    def fill(times: int) -> None:
        for number in range(times):
            at = NOW + number * MINUTE
            history.record(account.pk, BlueprintEvent.BLUEPRINT_CONVERTED, at=at, by=Actor.owner(owner))
            # Not more often than a person may ask.
            asked_at = NOW + number * timedelta(hours=1)
            ask(account, kind=RequestKind.OTHER, message="Hello", by=Actor.owner(owner), at=asked_at)
            Membership.objects.create(account=account, user=UserFactory(), role=Role.USER)
            BlueprintFactory(account=account)

    fill(10)
    few = statements()
    fill(90)
    assert statements() == few


@pytest.mark.parametrize(
    "text",
    ["Harbour", "harb", "  HARBOUR ", "owner@example.org", "OWNER@exam", "{account}", "{request}", "{cancellation}"],
)
def test_an_account_is_found_by_what_people_quote(text: str, account: Account, owner: User) -> None:
    AccountFactory(name="Elsewhere")
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=Actor.owner(owner), at=NOW)
    made, _new = ask(account, kind=RequestKind.OTHER, message="Hello", by=Actor.owner(owner), at=NOW)
    text = text.format(account=account.pk, request=made.reference.lower(), cancellation=cancellation.reference)
    assert find(text) == [account.pk]


def test_words_of_a_name_are_found_in_any_order_and_operators_mean_nothing(account: Account) -> None:
    other = AccountFactory(name="Blue Harbour & Sons")
    assert find("sons harb") == [other.pk]
    assert find("harbour") == [other.pk, account.pk]
    for text in ("!harbour", "harbour | x", "a:*", "'", "", "   ", "%", "\x00", "&"):
        assert other.pk not in find(text) or "harbour" in text


def test_a_search_that_means_one_account_leads_straight_to_it(account: Account, agent: User, sign_in: SignIn) -> None:
    client = sign_in(agent)
    found = client.get("/admin/accounts/account/", {"q": "harbour"})
    assert (found.status_code, found["Location"]) == (302, f"/admin/accounts/account/{account.pk}/change/")
    AccountFactory(name="Harbour Two")
    both = client.get("/admin/accounts/account/", {"q": "harbour"})
    assert both.status_code == 200
    assert "Harbour Two" in both.content.decode()
    none = client.get("/admin/accounts/account/", {"q": "nowhere"})
    assert none.status_code == 200
    assert "0 accounts" in none.content.decode()


def test_only_what_the_reader_may_do_is_offered(account: Account, agent: User, lead: User, sign_in: SignIn) -> None:
    subscribe(account, at=clock.now())
    of_agent, of_lead = page_of(sign_in(agent), account.pk), page_of(sign_in(lead), account.pk)
    assert "/admin/act/cancel/" in of_agent
    for name in ("hold", "hand_over", "end_now"):
        assert f"/admin/act/{name}/" not in of_agent
        assert f"/admin/act/{name}/" in of_lead
    assert "/admin/act/reactivate/" not in of_lead
