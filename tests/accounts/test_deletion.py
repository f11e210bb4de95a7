"""The customer's way to a purge: asked for, approved by somebody else, a grace period, an undo."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from dateutil.relativedelta import relativedelta
from django.test import Client

from accounts import clock, deletion, purge, sweeps
from accounts.history import Actor
from accounts.models import Account, Notice, SupportRequest, User
from accounts.purge import Purge
from accounts.support import RequestKind, ask
from subscriptions.models import Channel, Subscription
from tests.factories import NOW, subscribe

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
DAY = timedelta(days=1)


@pytest.fixture
def asked(account: Account, owner: User) -> SupportRequest:
    made, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=NOW)
    return made


def test_an_approval_schedules_the_purge_after_the_grace_period_within_the_month(
    asked: SupportRequest, account: Account, owner: User, staff: User
) -> None:
    found = deletion.approve(asked, by=Actor.staff(staff), at=NOW + 3 * DAY)
    assert (found.cause, found.received_at, found.due_at) == ("customer_request", NOW, NOW + 10 * DAY)
    assert found.deadline_at == NOW + relativedelta(months=1)
    assert Notice.objects.get(kind="accounts/deletion_approved").recipient == owner
    assert [event.kind for event in account.events.story()][:2] == ["deletion.approved", "purge.scheduled"]


def test_approving_twice_changes_nothing(asked: SupportRequest, staff: User) -> None:
    first = deletion.approve(asked, by=Actor.staff(staff), at=NOW)
    assert deletion.approve(asked, by=Actor.staff(staff), at=NOW + DAY) == first
    assert Purge.objects.count() == 1
    assert Notice.objects.filter(kind="accounts/deletion_approved").count() == 1


def test_nobody_approves_their_own_request_and_only_staff_do(account: Account, owner: User, staff: User) -> None:
    own, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.staff(staff), at=NOW)
    for by in (Actor.staff(staff), Actor.owner(owner), Actor.system()):
        with pytest.raises(deletion.NotToBeApproved):
            deletion.approve(own, by=by, at=NOW)
    assert not Purge.objects.exists()


def test_a_live_direct_subscription_is_ended_first(asked: SupportRequest, account: Account, staff: User) -> None:
    subscription = subscribe(account, at=NOW - DAY)
    deletion.approve(asked, by=Actor.staff(staff), at=NOW)
    subscription.refresh_from_db()
    assert subscription.ends_at == subscription.settled_at == NOW


@pytest.mark.parametrize("channel", [Channel.AWS_MARKETPLACE, Channel.GITHUB_MARKETPLACE])
def test_what_a_marketplace_bills_is_cancelled_there_first_unless_staff_override(
    asked: SupportRequest, account: Account, staff: User, channel: Channel
) -> None:
    subscribe(account, at=NOW - DAY, channel=channel)
    with pytest.raises(deletion.Blocked, match="Please cancel"):
        deletion.approve(asked, by=Actor.staff(staff), at=NOW)
    assert Subscription.objects.get().ends_at is None
    assert not Purge.objects.exists()
    deletion.approve(asked, by=Actor.staff(staff), at=NOW, override="the marketplace account is lost")
    assert Subscription.objects.get().ends_at == NOW
    assert account.events.get(kind="deletion.approved").facts["overridden"] is True


def test_it_can_be_called_off_until_the_erasing_begins(asked: SupportRequest, account: Account, owner: User) -> None:
    deletion.approve(asked, by=Actor.staff(User.objects.create_user("lead@example.com")), at=NOW)
    assert deletion.call_off(account, by=Actor.owner(owner), at=NOW + 7 * DAY)
    asked.refresh_from_db()
    assert asked.closed_at == NOW + 7 * DAY
    assert purge.start_due(NOW + 8 * DAY) == 0
    assert Notice.objects.filter(kind="accounts/deletion_called_off").count() == 1


def test_once_the_erasing_has_begun_it_is_too_late(asked: SupportRequest, account: Account, owner: User) -> None:
    deletion.approve(asked, by=Actor.staff(User.objects.create_user("lead@example.com")), at=NOW)
    assert purge.start_due(NOW + 7 * DAY) == 1
    with pytest.raises(purge.TooLate):
        deletion.call_off(account, by=Actor.owner(owner), at=NOW + 7 * DAY)
    asked.refresh_from_db()
    assert asked.closed_at is None


def test_buying_again_at_a_marketplace_does_not_call_off_what_the_customer_asked_for(
    asked: SupportRequest, account: Account, staff: User
) -> None:
    deletion.approve(asked, by=Actor.staff(staff), at=NOW)
    assert not purge.call_off(account, at=NOW, by=Actor.system(), cause=purge.Cause.MARKETPLACE_CANCELLATION)
    assert deletion.scheduled(account) is not None


def test_the_owner_sees_a_banner_everywhere_and_calls_it_off_with_one_click(
    account: Account, owner: User, member: User, staff: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    client.post("/user/support/", {"kind": "deletion"})
    deletion.approve(SupportRequest.objects.get(), by=Actor.staff(staff), at=clock.now())
    for page in ("/", "/user/subscription/", "/connections/", "/user/preferences/"):
        assert "Harbour and all its data will be deleted from" in client.get(page).content.decode()
    assert "Call the deletion off" in client.get("/user/support/").content.decode()
    assert "Call the deletion off" not in sign_in(member).get("/user/support/").content.decode()
    answer = client.post("/user/support/deletion/call-off/", follow=True).content.decode()
    assert "The deletion is called off." in answer
    assert "will be deleted from" not in answer


def test_who_is_billed_by_a_marketplace_is_told_at_once(account: Account, owner: User, sign_in: SignIn) -> None:
    subscribe(account, at=clock.now() - DAY, channel=Channel.AWS_MARKETPLACE)
    answer = sign_in(owner).post("/user/support/", {"kind": "deletion"}, follow=True).content.decode()
    assert "Please cancel the subscription in your AWS account first" in answer


def test_staff_approve_in_the_admin_and_find_the_certificate_there(
    account: Account, owner: User, staff: User, sign_in: SignIn
) -> None:
    made, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=clock.now() - 20 * DAY)
    client = sign_in(staff)
    answer = client.post(
        "/admin/accounts/supportrequest/",
        {"action": "approve_deletion", "_selected_action": [made.pk]},
        follow=True,
    )
    assert "is approved; the data is erased from" in answer.content.decode()
    for turn in range(3):
        sweeps.named("purge").run(clock.now() + 8 * DAY + turn * timedelta(minutes=1))
    page = client.get("/admin/accounts/certificate/1/print/").content.decode()
    assert str(account.pk) in page
    assert "accounts.Blueprint" in page
    file = client.get("/admin/accounts/certificate/1/json/")
    assert file["Content-Disposition"] == 'attachment; filename="certificate-1.json"'
    assert file.json()
    assert (
        sign_in(User.objects.create_user("x@example.com")).get("/admin/accounts/certificate/1/json/").status_code == 302
    )
