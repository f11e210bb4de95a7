"""Subscription Settings and the cancellation page: what each owner sees, and how nonsense is answered."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.core import clock
from accounts.models import Account, Event, Notice, User
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.models import Cancellation, Channel, Subscription
from tests.factories import NOW, BlueprintFactory, ConnectionFactory, owner_of, subscribe
from tests.pages import form_on, press

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
SETTINGS = "/user/subscription/"
CANCEL = "/user/subscription/cancellation/"
KEEP = "/user/subscription/cancellation/withdraw/"


def text(client: Client, path: str) -> str:
    """The words of a page, without its markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", client.get(path).content.decode()))


def test_the_page_says_before_the_button_what_changes_when_and_what_stays(
    account: Account, owner: User, sign_in: SignIn
) -> None:
    subscribe(account, at=NOW)
    BlueprintFactory.create_batch(2, account=account, grid="infinite")
    BlueprintFactory(account=account)
    ConnectionFactory.create_batch(3, account=account, provider="aws")
    ConnectionFactory(account=account, provider="azure")
    owner.time_zone = "Europe/Paris"
    owner.save()
    with time_machine.travel(NOW + 40 * DAY, tick=False):
        client = sign_in(owner)
        page = client.get(CANCEL).content.decode()
        words = text(client, CANCEL)
    assert 'datetime="2026-05-17T09:30:00Z"' in page
    assert "Sunday, May 17, 2026, 11:30 AM (CEST)" in words
    assert "2 blueprints on the infinite grid become read-only." in words
    assert "The resources of 3 AWS connections are no longer updated." in words
    assert "The resources of 1 Azure connection are no longer updated." in words
    assert "The Live view is no longer available." in words
    assert "The Bits menu no longer works." in words
    assert "Nothing is deleted." in words
    assert 'href="/user/support/?kind=deletion"' in page
    assert words.index("Nothing is deleted.") < words.index("Cancel my account")
    assert "have your money back" not in words


def test_inside_thirty_days_a_refund_is_offered_instead_and_cancelling_still_works(
    account: Account, owner: User, sign_in: SignIn
) -> None:
    subscribe(account, at=NOW)
    with time_machine.travel(NOW + 30 * DAY - SECOND, tick=False):
        client = sign_in(owner)
        page = client.get(CANCEL).content.decode()
        assert press(client, CANCEL).status_code == 302
    assert "You would rather have your money back?" in page
    assert 'href="/user/support/?kind=refund"' in page
    assert Cancellation.objects.count() == 1


def test_cancelling_ends_at_a_page_with_reference_date_and_the_way_back(
    account: Account, owner: User, sign_in: SignIn
) -> None:
    subscribe(account, at=clock.now() - 2 * DAY)
    client = sign_in(owner)
    response = press(client, CANCEL, reason="unused", comment="We draw <b>seldom</b> & slowly")
    assert (response.status_code, response["Location"]) == (302, f"{CANCEL}?account={account.pk}")
    cancellation = Cancellation.objects.get()
    page = client.get(CANCEL).content.decode()
    assert cancellation.reference in page
    assert f'datetime="{cancellation.effective_at:%Y-%m-%dT%H:%M:%SZ}"' in page
    assert "We draw &lt;b&gt;seldom&lt;/b&gt; &amp; slowly" in page
    assert "Keep my subscription" in page
    assert (cancellation.reason, cancellation.comment) == ("unused", "We draw <b>seldom</b> & slowly")


@pytest.mark.parametrize(
    "posted",
    [
        {"reason": "because"},
        {"comment": "x" * 2001},
        {"reason": "unused", "comment": "nul \x00 nul"},
    ],
)
def test_an_answer_that_makes_no_sense_is_refused_and_nothing_changes(
    account: Account, owner: User, sign_in: SignIn, posted: dict[str, Any]
) -> None:
    subscribe(account, at=clock.now())
    response = press(sign_in(owner), CANCEL, **posted)
    assert response.status_code == 422
    assert 'class="error"' in response.content.decode()
    assert not Cancellation.objects.exists()
    assert not Notice.objects.exists()


def test_a_comment_may_be_exactly_as_long_as_promised(account: Account, owner: User, sign_in: SignIn) -> None:
    subscribe(account, at=clock.now())
    assert press(sign_in(owner), CANCEL, comment="é" * 2000).status_code == 302


def test_two_tabs_make_one_cancellation_and_one_mail(account: Account, owner: User, sign_in: SignIn) -> None:
    subscribe(account, at=clock.now())
    client = sign_in(owner)
    sent = form_on(client, CANCEL).sent()
    assert [client.post(CANCEL, sent).status_code for _tab in range(2)] == [302, 302]
    assert Cancellation.objects.count() == 1
    assert Notice.objects.count() == 1


def test_the_whole_story_stands_in_the_history(account: Account, owner: User, sign_in: SignIn) -> None:
    subscribe(account, at=clock.now() - DAY)
    client = sign_in(owner)
    press(client, CANCEL)
    press(client, SETTINGS, KEEP)
    press(client, CANCEL)
    words = text(client, SETTINGS)
    assert [words.count(line) for line in ("Subscription cancelled", "Subscription kept after all")] == [2, 1]


def test_a_stale_page_cannot_keep_what_has_ended(account: Account, owner: User, sign_in: SignIn) -> None:
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    client = sign_in(owner)
    with time_machine.travel(cancellation.effective_at - SECOND, tick=False):
        sent = form_on(client, SETTINGS, KEEP).sent()
    with time_machine.travel(cancellation.effective_at, tick=False):
        response = client.post(KEEP, sent)
    assert response.status_code == 409
    assert "has ended already and can&#x27;t be kept" in response.content.decode()
    cancellation.refresh_from_db()
    assert cancellation.withdrawn_at is None
    assert not Event.objects.filter(kind="cancellation.withdrawn").exists()


def test_it_can_be_kept_one_second_before_the_end(account: Account, owner: User, sign_in: SignIn) -> None:
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    with time_machine.travel(cancellation.effective_at - SECOND, tick=False):
        client = sign_in(owner)
        assert press(client, SETTINGS, KEEP).status_code == 302
        assert "You keep your subscription." in text(client, SETTINGS)


def test_a_banner_on_every_page_tells_of_the_end_until_the_end(account: Account, owner: User, sign_in: SignIn) -> None:
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    pages = ["/", "/connections/", "/user/support/", "/user/preferences/", SETTINGS]
    with time_machine.travel(cancellation.effective_at - SECOND, tick=False):
        assert all("Your Pro subscription ends on" in text(sign_in(owner), page) for page in pages)
    with time_machine.travel(cancellation.effective_at, tick=False):
        assert not any("Your Pro subscription ends on" in text(sign_in(owner), page) for page in pages)


@pytest.mark.parametrize(
    ("channel", "words", "button"),
    [
        (Channel.DIRECT, "Renews", True),
        (Channel.DATADOG_SALES, "It does not renew: it expires on", False),
        (Channel.AWS_MARKETPLACE, "billed by AWS Marketplace", False),
        (Channel.GITHUB_MARKETPLACE, "billed by GitHub Marketplace", False),
    ],
)
def test_each_channel_says_who_can_end_it(
    account: Account, owner: User, sign_in: SignIn, channel: Channel, words: str, button: bool
) -> None:
    ends_at = clock.now() + 100 * DAY if channel == Channel.DATADOG_SALES else None
    subscribe(account, at=clock.now() - 40 * DAY, channel=channel, ends_at=ends_at)
    client = sign_in(owner)
    page = text(client, SETTINGS)
    assert words in page
    assert ("Cancel subscription" in client.get(SETTINGS).content.decode().split("<main")[1].split("<ol>")[0]) is button
    refusal = press(client, CANCEL) if button else client.post(CANCEL, {"account": account.pk})
    assert refusal.status_code == (302 if button else 409)
    assert Cancellation.objects.exists() is button
    if not button:
        assert words in re.sub(r"\s+", " ", refusal.content.decode())
        assert client.get(CANCEL).status_code == 409


def test_on_a_trial_the_page_says_that_the_trial_ends(account: Account, owner: User, sign_in: SignIn) -> None:
    subscribe(account, at=clock.now() - DAY, trial_ends_at=clock.now() + 13 * DAY)
    words = text(sign_in(owner), CANCEL)
    assert "Your trial goes on until" in words
    assert "the trial does not turn into a paid subscription" in words


def test_no_page_promises_a_charge_that_stops_where_nobody_stops_it(
    account: Account, owner: User, sign_in: SignIn
) -> None:
    """Charges are taken by the vendor's payment system, which is told nothing yet (design, idea 17)."""
    subscribe(account, at=clock.now() - DAY)
    words = text(sign_in(owner), CANCEL)
    assert "the subscription does not renew" in words
    assert "charged" not in words


def test_without_a_subscription_there_is_nothing_to_cancel(account: Account, owner: User, sign_in: SignIn) -> None:
    client = sign_in(owner)
    assert client.get(CANCEL).status_code == 409
    assert client.post(CANCEL, {"account": account.pk}).status_code == 409
    assert client.post(KEEP, {"account": account.pk}).status_code == 302
    assert not Subscription.objects.exists()


def statements(client: Client) -> dict[str, int]:
    """How many statements each page takes."""
    counts = {}
    for page in (SETTINGS, CANCEL, "/", "/connections/", "/user/support/"):
        with CaptureQueriesContext(connection) as captured:
            client.get(page)
        counts[page] = len(captured)
    return counts


def test_the_pages_take_the_same_statements_however_much_there_is(
    account: Account, owner: User, sign_in: SignIn
) -> None:
    subscription = subscribe(account, at=clock.now() - DAY)
    client = sign_in(owner)
    few = statements(client)
    BlueprintFactory.create_batch(50, account=account, grid="infinite")
    ConnectionFactory.create_batch(50, account=account)
    by = owner_of(subscription)
    for _time in range(20):
        cancellation, _new = cancel(subscription, by=by, at=clock.now())
        withdraw(cancellation, by=by, at=clock.now())
    assert statements(client) == few
    assert few[SETTINGS] <= 12
