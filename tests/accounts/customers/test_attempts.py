"""What owners and members tried and were refused stands in the history, as it does for the desk."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from accounts.core import clock
from accounts.models import Account, Event, Membership, Role, User
from subscriptions.ending.cancellation import cancel
from subscriptions.models import Channel
from tests.factories import AccountFactory, owner_of, subscribe

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
CANCEL = "/user/subscription/cancellation/"


def refused() -> list[tuple[object, ...]]:
    lines = Event.objects.filter(kind="attempt.refused").order_by("id")
    return [(line.account_id, line.actor_kind, line.actor_id, *line.facts.values()) for line in lines]


def test_a_member_who_may_not_leaves_a_line(account: Account, admin: User, sign_in: SignIn) -> None:
    assert sign_in(admin).post(CANCEL, {"account": account.pk, "comment": "secret"}).status_code == 403
    assert refused() == [(account.pk, "member", admin.pk, "cancellation", 403)]


def test_an_owner_who_can_not_leaves_a_line(account: Account, owner: User, sign_in: SignIn) -> None:
    subscribe(account, at=clock.now(), channel=Channel.AWS_MARKETPLACE)
    client = sign_in(owner)
    assert client.post(CANCEL, {"account": account.pk}).status_code == 409
    assert refused() == [(account.pk, "owner", owner.pk, "cancellation", 409)]
    # Looking is no attempt, and the same again within the hour no other one.
    assert client.get(CANCEL).status_code == 409
    assert client.post(CANCEL, {"account": account.pk}).status_code == 409
    assert len(refused()) == 1


def test_the_line_is_of_the_account_that_the_form_was_about(
    account: Account, owner: User, member: User, sign_in: SignIn
) -> None:
    other = AccountFactory(name="Zebra")
    Membership.objects.create(account=other, user=owner, role=Role.USER)
    assert sign_in(owner).post(CANCEL, {"account": other.pk}).status_code == 403
    assert refused() == [(other.pk, "member", owner.pk, "cancellation", 403)]


def test_customers_do_not_see_these_lines_and_what_succeeds_leaves_none(
    account: Account, owner: User, admin: User, sign_in: SignIn
) -> None:
    subscription = subscribe(account, at=clock.now() - timedelta(days=1))
    cancel(subscription, by=owner_of(subscription), at=clock.now())
    sign_in(admin).post(CANCEL, {"account": account.pk})
    assert "An attempt was refused" not in sign_in(owner).get("/user/subscription/").content.decode()
    assert not account.events.for_customers().filter(kind="attempt.refused").exists()
    sign_in(owner).post("/user/support/", {"account": account.pk, "kind": "other", "message": "Hello"})
    assert len(refused()) == 1
