"""The customer's way to a purge: asked for, approved by somebody else, a grace period, an undo."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from dateutil.relativedelta import relativedelta
from django.db import IntegrityError, transaction
from django.test import Client

from accounts.core import clock
from accounts.customers.history import Actor
from accounts.customers.staff import NeedsAnotherPerson, OwnAccount, StaffOnly
from accounts.erasure import scheduling, starting
from accounts.erasure.obligation import PurgeCause
from accounts.erasure.purge import Purge
from accounts.jobs import sweeps
from accounts.models import (
    Account,
    Certificate,
    DeletionProposal,
    Membership,
    Notice,
    RequestOutcome,
    Role,
    SupportRequest,
    User,
)
from accounts.support import answers, deletion
from accounts.support.identity import NotIdentified
from accounts.support.requests import RequestKind, ask
from subscriptions.models import Channel, Subscription
from tests.accounts.erasure.purging import start_due
from tests.factories import NOW, UserFactory, subscribe
from tests.pages import press

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
DAY = timedelta(days=1)
IDENTITY = ["card_digits", "last_charge_date"]


@pytest.fixture
def asked(account: Account, owner: User) -> SupportRequest:
    made, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=NOW)
    return made


@pytest.fixture
def agent(db: None) -> Actor:
    return Actor.staff(UserFactory(email="agent@example.com", is_staff=True))


@pytest.fixture
def lead(db: None) -> Actor:
    return Actor.staff(UserFactory(email="lead@example.com", is_staff=True))


@pytest.fixture
def proposed(asked: SupportRequest, agent: Actor) -> SupportRequest:
    deletion.propose(asked, by=agent, at=NOW)
    return asked


def test_an_approval_schedules_the_purge_after_the_grace_period_within_the_month(
    proposed: SupportRequest, account: Account, owner: User, staff: User
) -> None:
    found = deletion.approve(proposed, by=Actor.staff(staff), at=NOW + 3 * DAY)
    assert (found.cause, found.received_at, found.due_at) == ("customer_request", NOW, NOW + 10 * DAY)
    assert found.deadline_at == NOW + relativedelta(months=1)
    assert Notice.objects.get(kind="accounts/deletion_approved").recipient == owner
    assert [event.kind for event in account.events.story()][:2] == ["deletion.approved", "purge.scheduled"]


def test_approving_twice_changes_nothing(proposed: SupportRequest, staff: User) -> None:
    first = deletion.approve(proposed, by=Actor.staff(staff), at=NOW)
    assert deletion.approve(proposed, by=Actor.staff(staff), at=NOW + DAY) == first
    assert Purge.objects.count() == 1
    assert Notice.objects.filter(kind="accounts/deletion_approved").count() == 1


def test_nobody_approves_their_own_request_and_only_staff_do(
    account: Account, owner: User, staff: User, lead: Actor
) -> None:
    own, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.staff(staff), at=NOW, identity=IDENTITY)
    deletion.propose(own, by=lead, at=NOW)
    with pytest.raises(NeedsAnotherPerson):
        deletion.approve(own, by=Actor.staff(staff), at=NOW)
    former = Actor.staff(UserFactory(email="former@example.com"))
    for by in (Actor.owner(owner), Actor.member(owner), Actor.system(), former):
        with pytest.raises(StaffOnly):
            deletion.approve(own, by=by, at=NOW)
    assert not Purge.objects.exists()


def test_it_takes_two_members_of_staff(asked: SupportRequest, account: Account, agent: Actor, lead: Actor) -> None:
    with pytest.raises(deletion.NotToBeApproved, match="Nobody has proposed"):
        deletion.approve(asked, by=lead, at=NOW)
    proposal, new = deletion.propose(asked, by=agent, at=NOW)
    assert (new, proposal.identity, proposal.requested_by) == (True, [], asked.made_by)
    with pytest.raises(NeedsAnotherPerson):
        deletion.approve(asked, by=agent, at=NOW)
    assert not Purge.objects.exists()
    assert deletion.propose(asked, by=lead, at=NOW) == (proposal, False)
    assert deletion.approve(asked, by=lead, at=NOW + DAY)
    proposal.refresh_from_db()
    asked.refresh_from_db()
    assert (proposal.approved_at, proposal.approved_by) == (NOW + DAY, lead.user)
    assert (asked.decided_at, asked.closed_at) == (NOW + DAY, None)
    story = {event.kind: event.actor_id for event in account.events.story()}
    assert agent.user
    assert lead.user
    assert (story["deletion.proposed"], story["deletion.approved"]) == (agent.user.pk, lead.user.pk)
    assert account.events.get(kind="deletion.approved").facts["proposed_by"] == agent.user.pk


def test_the_database_lets_nobody_approve_alone(proposed: SupportRequest, agent: Actor, owner: User) -> None:
    for alone in (agent.user, owner):
        with pytest.raises(IntegrityError, match="proposal_approved_by_another"), transaction.atomic():
            DeletionProposal.objects.update(approved_by=alone, approved_at=NOW)


def test_whoever_belongs_to_the_account_has_no_say(account: Account, owner: User, lead: Actor, agent: Actor) -> None:
    """A member of staff who is a customer, too, decides about others alone."""
    both: User = UserFactory(email="both@example.com", is_staff=True)
    Membership.objects.create(account=account, user=both, role=Role.USER)
    made, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=NOW)
    with pytest.raises(OwnAccount):
        deletion.propose(made, by=Actor.staff(both), at=NOW)
    deletion.propose(made, by=agent, at=NOW)
    with pytest.raises(OwnAccount):
        deletion.approve(made, by=Actor.staff(both), at=NOW)
    assert not Purge.objects.exists()


def test_what_the_owner_did_not_ask_for_while_signed_in_needs_proof(
    account: Account, owner: User, agent: Actor, lead: Actor
) -> None:
    made, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=NOW)
    # Ownership has passed on since.
    heir: User = UserFactory()
    account.memberships.filter(user=owner).update(role=Role.ADMIN)
    Membership.objects.create(account=account, user=heir, role=Role.OWNER)
    with pytest.raises(NotIdentified, match="at least 2"):
        deletion.propose(made, by=agent, at=NOW)
    with pytest.raises(NotIdentified):
        deletion.propose(made, by=agent, at=NOW, identity=["card_digits", "card_digits"])
    with pytest.raises(ValueError, match="shoe_size"):
        deletion.propose(made, by=agent, at=NOW, identity=["card_digits", "shoe_size"])
    assert not DeletionProposal.objects.exists()
    proposal, _new = deletion.propose(made, by=agent, at=NOW, identity=reversed(IDENTITY))
    assert proposal.identity == IDENTITY
    assert account.events.get(kind="deletion.proposed").facts["identity"] == IDENTITY


def test_a_proposal_can_be_sent_back_and_made_again(proposed: SupportRequest, agent: Actor, lead: Actor) -> None:
    assert deletion.take_back(proposed, by=lead, at=NOW)
    assert not deletion.take_back(proposed, by=lead, at=NOW)
    with pytest.raises(deletion.NotToBeApproved):
        deletion.approve(proposed, by=lead, at=NOW)
    # Who had approved may now be the first, and the first one the second.
    deletion.propose(proposed, by=lead, at=NOW)
    assert deletion.approve(proposed, by=agent, at=NOW)
    with pytest.raises(deletion.NotToBeApproved, match="called off"):
        deletion.take_back(proposed, by=lead, at=NOW)
    assert DeletionProposal.objects.count() == 2


def test_a_request_for_something_else_or_a_closed_one_is_not_proposed(
    account: Account, owner: User, agent: Actor, asked: SupportRequest
) -> None:
    other, _new = ask(account, kind=RequestKind.REFUND, message="", by=Actor.owner(owner), at=NOW)
    answers.close(asked, outcome=RequestOutcome.DECLINED, text="You owe us a reply.", by=agent, at=NOW)
    for request in (other, asked):
        with pytest.raises(deletion.NotToBeApproved, match="not an open request for deletion"):
            deletion.propose(request, by=agent, at=NOW)
    assert not DeletionProposal.objects.exists()


def test_it_is_declined_with_an_answer_unless_it_is_under_way(
    proposed: SupportRequest, account: Account, owner: User, agent: Actor, lead: Actor
) -> None:
    with pytest.raises(answers.ReasonNeeded):
        answers.close(proposed, outcome=RequestOutcome.DECLINED, by=agent, at=NOW)
    deletion.approve(proposed, by=lead, at=NOW)
    with pytest.raises(answers.UnderWay, match="Call it off first"):
        answers.close(proposed, outcome=RequestOutcome.DECLINED, text="No.", by=agent, at=NOW)
    assert deletion.call_off(account, by=agent, at=NOW)
    proposed.refresh_from_db()
    assert proposed.outcome == "called_off"
    again, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=NOW)
    assert answers.close(again, outcome=RequestOutcome.DECLINED, text="A court wants the data.", by=agent, at=NOW)
    again.refresh_from_db()
    assert (again.outcome, again.messages.get().text) == ("declined", "A court wants the data.")
    assert deletion.scheduled(account) is None


@pytest.mark.parametrize("channel", [Channel.AWS_MARKETPLACE, Channel.GITHUB_MARKETPLACE])
def test_what_a_marketplace_bills_is_cancelled_there_first_unless_staff_override(
    asked: SupportRequest, account: Account, agent: Actor, staff: User, channel: Channel
) -> None:
    subscribe(account, at=NOW - DAY, channel=channel)
    with pytest.raises(deletion.Blocked, match="Please cancel"):
        deletion.propose(asked, by=agent, at=NOW)
    assert not DeletionProposal.objects.exists()
    deletion.propose(asked, by=agent, at=NOW, override="the marketplace account is lost")
    assert Subscription.objects.get().ends_at is None
    assert not Purge.objects.exists()
    found = deletion.approve(asked, by=Actor.staff(staff), at=NOW)
    assert Subscription.objects.get().ends_at is None
    assert starting.start(found, at=found.due_at)
    assert Subscription.objects.get().ends_at == found.due_at
    assert account.events.get(kind="deletion.approved").facts["overridden"] is True
    # The reason goes with the account; the history says only that there was one.
    assert "lost" not in str(list(account.events.values_list("facts", flat=True)))


def test_an_obstacle_that_came_up_since_the_proposal_blocks_the_approval(
    proposed: SupportRequest, account: Account, staff: User
) -> None:
    subscribe(account, at=NOW - DAY, channel=Channel.AWS_MARKETPLACE)
    with pytest.raises(deletion.Blocked, match="Please cancel"):
        deletion.approve(proposed, by=Actor.staff(staff), at=NOW)
    assert Subscription.objects.get().ends_at is None
    assert not Purge.objects.exists()
    deletion.approve(proposed, by=Actor.staff(staff), at=NOW, override="the marketplace account is lost")
    assert DeletionProposal.objects.get().override == "the marketplace account is lost"


def test_it_can_be_called_off_until_the_erasing_begins(
    proposed: SupportRequest, asked: SupportRequest, account: Account, owner: User, lead: Actor
) -> None:
    deletion.approve(asked, by=lead, at=NOW)
    assert deletion.call_off(account, by=Actor.owner(owner), at=NOW + 7 * DAY)
    asked.refresh_from_db()
    assert asked.closed_at == NOW + 7 * DAY
    assert start_due(NOW + 8 * DAY) == 0
    assert Notice.objects.filter(kind="accounts/deletion_called_off").count() == 1


def test_once_the_erasing_has_begun_it_is_too_late(
    proposed: SupportRequest, asked: SupportRequest, account: Account, owner: User, lead: Actor
) -> None:
    deletion.approve(asked, by=lead, at=NOW)
    assert start_due(NOW + 7 * DAY) == 1
    with pytest.raises(scheduling.TooLate):
        deletion.call_off(account, by=Actor.owner(owner), at=NOW + 7 * DAY)
    asked.refresh_from_db()
    assert asked.closed_at is None


def test_buying_again_at_a_marketplace_does_not_call_off_what_the_customer_asked_for(
    proposed: SupportRequest, account: Account, staff: User
) -> None:
    deletion.approve(proposed, by=Actor.staff(staff), at=NOW)
    assert not scheduling.call_off(account, at=NOW, by=Actor.system(), cause=PurgeCause.MARKETPLACE_CANCELLATION)
    assert deletion.scheduled(account) is not None


def test_the_owner_sees_a_banner_everywhere_and_calls_it_off_with_one_click(
    account: Account, owner: User, member: User, staff: User, agent: Actor, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    press(client, "/user/support/", kind="deletion")
    deletion.propose(SupportRequest.objects.get(), by=agent, at=clock.now())
    deletion.approve(SupportRequest.objects.get(), by=Actor.staff(staff), at=clock.now())
    for page in ("/", "/user/subscription/", "/connections/", "/user/preferences/"):
        assert "Harbour and all its data will be deleted from" in client.get(page).content.decode()
    assert "Call the deletion off" in client.get("/user/support/").content.decode()
    assert "Call the deletion off" not in sign_in(member).get("/user/support/").content.decode()
    answer = press(client, "/user/support/", "/user/support/deletion/call-off/", follow=True).content.decode()
    assert "The deletion is called off." in answer
    assert "will be deleted from" not in answer


def test_who_is_billed_by_a_marketplace_is_told_at_once(account: Account, owner: User, sign_in: SignIn) -> None:
    subscribe(account, at=clock.now() - DAY, channel=Channel.AWS_MARKETPLACE)
    answer = press(sign_in(owner), "/user/support/", kind="deletion", follow=True).content.decode()
    assert "Please cancel the subscription in your AWS account first" in answer


def test_staff_approve_in_the_admin_and_find_the_certificate_there(
    account: Account, owner: User, staff: User, agent: Actor, sign_in: SignIn
) -> None:
    made, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=clock.now() - 20 * DAY)
    deletion.propose(made, by=agent, at=clock.now())
    client = sign_in(staff)
    approval = {"reason": "As the owner asked", "confirmed": "yes"}
    answer = client.post(f"/admin/act/approve_deletion/{made.pk}/", approval, follow=True)
    assert "The deletion is approved: everything is erased from" in answer.content.decode()
    for turn in range(3):
        sweeps.named("purge").run(clock.now() + 8 * DAY + turn * timedelta(minutes=1))
    page = client.get("/admin/accounts/certificate/1/print/").content.decode()
    assert str(account.pk) in page
    assert "Blueprints" in page
    file = client.get("/admin/accounts/certificate/1/json/")
    assert file["Content-Disposition"] == 'attachment; filename="certificate-1.json"'
    assert file.json()
    stranger = User.objects.create_user("x@example.com")
    assert sign_in(stranger).get("/admin/accounts/certificate/1/json/").status_code == 403


@pytest.mark.parametrize(
    ("approved_after", "due_after", "deadline_after"),
    [
        # Of a month of 31 days, with twelve hours that an erasing may take.
        (23.0, 30.0, 31.0),
        (23.5, 30.5, 31.0),
        (24.0, 30.5, 31.0),
        (29.0, 30.5, 31.0),
        (30.0, 31.0, 31.5),
        (31.0, 32.0, 32.5),
    ],
)
def test_a_deletion_approved_within_its_month_has_a_deadline_with_room(
    proposed: SupportRequest, staff: User, approved_after: float, due_after: float, deadline_after: float
) -> None:
    found = deletion.approve(proposed, by=Actor.staff(staff), at=NOW + approved_after * DAY)
    assert (found.due_at, found.deadline_at) == (NOW + due_after * DAY, NOW + deadline_after * DAY)
    assert Notice.objects.get(kind="accounts/deletion_approved").facts["due_at"] == found.due_at.isoformat()
    for turn in range(3):
        sweeps.named("purge").run(found.due_at + turn * timedelta(minutes=1))
    assert Certificate.objects.get().body["deadline_met"] is True


def test_a_deletion_approved_after_its_month_is_late_and_certified_as_late(
    proposed: SupportRequest, staff: User
) -> None:
    found = deletion.approve(proposed, by=Actor.staff(staff), at=NOW + 31 * DAY + timedelta(seconds=1))
    assert found.due_at == found.deadline_at == NOW + 32 * DAY + timedelta(seconds=1)
    for turn in range(3):
        sweeps.named("purge").run(found.due_at + turn * timedelta(minutes=1))
    assert Certificate.objects.get().body["deadline_met"] is False


def test_begun_finished_and_proven_are_three_instants_on_a_certificate(proposed: SupportRequest, staff: User) -> None:
    found = deletion.approve(proposed, by=Actor.staff(staff), at=NOW)
    sweeps.named("purge").run(found.due_at)
    found.refresh_from_db()
    body = Certificate.objects.get().body
    begun, finished, proven = (
        datetime.fromisoformat(body[f"{name}_at"]) for name in ("started", "finished", "verified")
    )
    assert found.due_at < begun < finished < proven < found.due_at + timedelta(minutes=1)
    assert (found.started_at, found.finished_at, found.verified_at) == (begun, finished, proven)
    assert Certificate.objects.get().issued_at == proven
