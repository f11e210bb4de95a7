"""Members: who may change whom, what a removed person still reaches, and how an account gets a new owner."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from pytest_django import Settings

from accounts.customers.history import Actor
from accounts.exports.builder import export_due
from accounts.exports.export import ask as ask_export
from accounts.exports.export import link_token
from accounts.mail.sending import send_due
from accounts.models import Account, Event, Membership, Notice, Role, User
from accounts.people import inviting, members
from accounts.support import ownership, ownership_proposal
from accounts.support.ownership_proposal import NotOffered, OwnershipProposal
from accounts.support.requests import RequestKind, ask
from subscriptions.ending.cancellation import cancel
from tests.factories import NOW, AccountFactory, UserFactory, subscribe
from tests.pages import form_on, press

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
PEOPLE = "/user/people/"
OFFER = "/user/people/ownership/offer/"
HAND_OVER = "/user/people/ownership/"
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def frozen(settings: Settings) -> Any:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def role_of(user: User, account: Account) -> str | None:
    return Membership.objects.filter(user=user, account=account).values_list("role", flat=True).first()


def test_an_owner_makes_an_administrator_and_takes_that_back(
    account: Account, owner: User, member: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    door = f"{PEOPLE}members/{member.pk}/role/"
    for role in (Role.ADMIN, Role.USER):
        assert press(client, PEOPLE, door, role=role).status_code == 302
        assert role_of(member, account) == role
    told = Event.objects.filter(kind="person.role_changed").order_by("id").values_list("facts", flat=True)
    assert list(told) == [
        {"person": member.pk, "role": "admin", "role_before": "user"},
        {"person": member.pk, "role": "user", "role_before": "admin"},
    ]


def test_an_administrator_touches_everybody_but_the_owner(
    account: Account, owner: User, admin: User, member: User, sign_in: SignIn
) -> None:
    for attempt in (
        lambda: members.remove(account, user=owner, by=admin, at=NOW),
        lambda: members.change_role(account, of=owner, to=Role.USER, by=admin, at=NOW),
    ):
        with pytest.raises(members.NotTheOwner):
            attempt()
    client = sign_in(admin)
    for door, typed in ((f"members/{owner.pk}/remove/", {}), (f"members/{owner.pk}/role/", {"role": "user"})):
        client.post(f"{PEOPLE}{door}", {"account": account.pk, "shown": f"{owner.pk} owner", **typed})
    assert role_of(owner, account) == Role.OWNER
    assert press(client, PEOPLE, f"{PEOPLE}members/{member.pk}/remove/").status_code == 302
    assert role_of(member, account) is None


def test_a_user_sees_the_owner_and_themselves_alone(
    account: Account, admin: User, member: User, sign_in: SignIn
) -> None:
    inviting.invite(account, email="asked@new.example", role=Role.USER, by=Actor.system(), at=NOW)
    page = sign_in(member).get(PEOPLE).content.decode()
    assert "Olga Owner" in page
    assert member.name in page
    assert admin.email not in page
    assert "asked@new.example" not in page


def test_who_was_demoted_since_their_page_was_made_removes_nobody(
    account: Account, owner: User, admin: User, member: User
) -> None:
    members.change_role(account, of=admin, to=Role.USER, by=owner, at=NOW)
    with pytest.raises(members.NotYours):
        members.remove(account, user=member, by=admin, at=NOW)


def test_a_removed_person_is_out_with_the_next_request_and_told_by_mail(
    account: Account, owner: User, member: User, sign_in: SignIn, mailoutbox: list[Any]
) -> None:
    theirs = sign_in(member)
    assert theirs.get(f"{PEOPLE}?account={account.pk}").status_code == 200
    form = form_on(theirs, "/user/support/")
    assert press(sign_in(owner), PEOPLE, f"{PEOPLE}members/{member.pk}/remove/").status_code == 302
    assert theirs.get(f"{PEOPLE}?account={account.pk}").status_code == 403
    assert theirs.post(form.action, form.sent(kind="other", message="Still here?")).status_code == 403
    assert theirs.get("/").status_code == 403
    elsewhere = AccountFactory(name="Elsewhere", owner=member)
    assert theirs.get(f"/user/support/?account={account.pk}").status_code == 404
    assert "Elsewhere" in theirs.get("/user/support/").content.decode()
    assert elsewhere.memberships.count() == 1
    send_due(NOW)
    (letter,) = mailoutbox
    assert (letter.recipients(), letter.subject) == ([member.email], "You are no longer a member of Harbour")


def test_the_same_button_twice_removes_once(account: Account, owner: User, member: User, sign_in: SignIn) -> None:
    client = sign_in(owner)
    form = form_on(client, PEOPLE, f"{PEOPLE}members/{member.pk}/remove/")
    assert client.post(form.action, form.sent()).status_code == 302
    assert client.post(form.action, form.sent()).status_code == 409
    assert Event.objects.filter(kind="person.removed").count() == 1


def test_a_member_leaves_and_the_owner_can_not(account: Account, owner: User, member: User, sign_in: SignIn) -> None:
    answer = press(sign_in(member), PEOPLE, f"{PEOPLE}leave/", follow=True)
    assert "You have left Harbour." in answer.content.decode()
    assert role_of(member, account) is None
    with pytest.raises(members.OwnerStays):
        members.leave(account, user=owner, at=NOW)
    answer = sign_in(owner).post(f"{PEOPLE}leave/", {"account": account.pk, "shown": "owner"}, follow=True)
    assert "Hand the account over to somebody first" in answer.content.decode()
    assert role_of(owner, account) == Role.OWNER


def test_an_owner_hands_over_and_the_new_one_accepts(
    account: Account, owner: User, member: User, sign_in: SignIn, mailoutbox: list[Any]
) -> None:
    place = account.memberships.get(user=member)
    assert press(sign_in(owner), HAND_OVER, new_owner=str(place.pk), stays="yes").status_code == 302
    assert role_of(owner, account) == Role.OWNER
    send_due(NOW)
    assert [(m.recipients(), m.subject) for m in mailoutbox] == [
        ([member.email], "The ownership of Harbour is offered to you")
    ]
    mailoutbox.clear()
    assert press(sign_in(member), OFFER).status_code == 302
    assert (role_of(owner, account), role_of(member, account)) == (Role.ADMIN, Role.OWNER)
    send_due(NOW)
    letters = {letter.recipients()[0]: letter.body for letter in mailoutbox}
    assert set(letters) == {owner.email, member.email}
    assert "The new owner has accepted: the account Harbour is handed over." in letters[owner.email]
    assert "You are now the owner of the account Harbour" in letters[member.email]
    assert list(Event.objects.order_by("id").values_list("kind", "actor_id")) == [
        ("ownership.offered", owner.pk),
        ("ownership.handed_over", member.pk),
    ]


def test_an_owner_who_does_not_stay_is_no_member_any_more(
    account: Account, owner: User, member: User, sign_in: SignIn
) -> None:
    offer, _new = ownership_proposal.propose(account, to=member, stays=False, by=owner, at=NOW)
    ownership_proposal.accept(offer, by=member, at=NOW)
    assert role_of(owner, account) is None
    assert sign_in(owner).get(f"{PEOPLE}?account={account.pk}").status_code == 403


def test_what_is_about_to_happen_stands_before_the_button_and_must_still_be_so(
    account: Account, owner: User, member: User, sign_in: SignIn
) -> None:
    subscription = subscribe(account, at=NOW - 40 * DAY)
    ask(account, kind=RequestKind.REFUND, message="", by=Actor.owner(owner), at=NOW)
    cancel(subscription, by=Actor.owner(owner), at=NOW)
    _offer, _new = ownership_proposal.propose(account, to=member, stays=True, by=owner, at=NOW)
    client = sign_in(member)
    page = client.get(OFFER).content.decode()
    assert "A refund has been asked for (" in page
    assert "Its Pro subscription was cancelled" in page
    form = form_on(client, OFFER)
    ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=NOW)
    answer = client.post(form.action, form.sent())
    assert answer.status_code == 409
    assert "Its deletion has been asked for (" in answer.content.decode()
    assert role_of(owner, account) == Role.OWNER
    assert press(client, OFFER).status_code == 302
    assert role_of(member, account) == Role.OWNER


@pytest.mark.parametrize("ended", ["taken back", "declined", "expired", "removed", "handed over by support"])
def test_an_offer_that_stands_no_more_makes_nobody_owner(
    account: Account, owner: User, admin: User, member: User, ended: str
) -> None:
    offer, _new = ownership_proposal.propose(account, to=member, stays=True, by=owner, at=NOW)
    at = NOW
    if ended == "taken back":
        assert ownership_proposal.take_back(account, by=owner, at=NOW)
    elif ended == "declined":
        ownership_proposal.decline(offer, by=member, at=NOW)
        assert Notice.objects.filter(kind="accounts/ownership_declined", recipient=owner).exists()
    elif ended == "expired":
        at = NOW + 7 * DAY
    elif ended == "removed":
        members.remove(account, user=member, by=owner, at=NOW)
    else:
        ownership.hand_over(account, to=admin, stays=True, by=Actor.system(), at=NOW)
    with pytest.raises(NotOffered):
        ownership_proposal.accept(offer, by=member, at=at)
    assert role_of(member, account) != Role.OWNER


def test_an_offer_that_was_accepted_in_another_tab_leads_to_where_things_stand(
    account: Account, owner: User, member: User, sign_in: SignIn
) -> None:
    ownership_proposal.propose(account, to=member, stays=True, by=owner, at=NOW)
    client = sign_in(member)
    form = form_on(client, OFFER)
    assert press(client, OFFER).status_code == 302
    answer = client.post(form.action, form.sent(), follow=True)
    assert answer.redirect_chain == [(f"{PEOPLE}?account={account.pk}", 302)]
    assert "Nothing was done: what the page said is not so any more." in answer.content.decode()
    assert role_of(member, account) == Role.OWNER


def test_only_the_one_to_whom_it_was_offered_accepts(
    account: Account, owner: User, admin: User, member: User, sign_in: SignIn
) -> None:
    offer, _new = ownership_proposal.propose(account, to=member, stays=True, by=owner, at=NOW)
    with pytest.raises(NotOffered):
        ownership_proposal.accept(offer, by=admin, at=NOW)
    assert sign_in(admin).post(OFFER, {"account": account.pk, "shown": str(offer.pk)}).status_code == 302
    assert role_of(owner, account) == Role.OWNER


def test_an_offer_twice_is_one_and_another_takes_its_place(
    account: Account, owner: User, admin: User, member: User
) -> None:
    first, new = ownership_proposal.propose(account, to=member, stays=True, by=owner, at=NOW)
    assert new
    assert ownership_proposal.propose(account, to=member, stays=True, by=owner, at=NOW) == (first, False)
    ownership_proposal.propose(account, to=admin, stays=True, by=owner, at=NOW)
    assert OwnershipProposal.objects.unanswered().get().new_owner == admin
    with pytest.raises(NotOffered):
        ownership_proposal.accept(first, by=member, at=NOW)


def test_strangers_staff_and_people_without_a_proven_address_are_offered_nothing(
    account: Account, owner: User, stranger: User
) -> None:
    with pytest.raises(ownership_proposal.NoMember):
        ownership_proposal.propose(account, to=stranger, stays=True, by=owner, at=NOW)
    for changes, refusal in (
        ({"is_staff": True}, ownership.CannotTakeOver),
        ({"is_active": False}, ownership.CannotTakeOver),
        ({"is_proven": False}, ownership.NotProven),
    ):
        person = UserFactory(**changes)
        Membership.objects.create(account=account, user=person, role=Role.USER)
        with pytest.raises(refusal):
            ownership_proposal.propose(account, to=person, stays=True, by=owner, at=NOW)


def test_handing_over_and_accepting_ask_for_a_fresh_proof(
    account: Account, owner: User, member: User, sign_in: SignIn, frozen: Any
) -> None:
    ownership_proposal.propose(account, to=member, stays=True, by=owner, at=NOW)
    owners, members_ = sign_in(owner), sign_in(member)
    frozen.move_to(NOW + timedelta(hours=2))
    for client, page in ((owners, HAND_OVER), (members_, OFFER)):
        assert client.get(page)["Location"].startswith("/auth/reauthenticate/")
        assert client.post(page, {"account": account.pk})["Location"].startswith("/auth/reauthenticate/")
    assert role_of(owner, account) == Role.OWNER


def test_the_export_of_a_former_owner_is_closed_to_them(
    account: Account, owner: User, member: User, sign_in: SignIn
) -> None:
    export, _new = ask_export(account, by=Actor.owner(owner), at=NOW)
    export_due(NOW)
    export.refresh_from_db()
    client, link = sign_in(owner), f"/user/export/{link_token(export, owner)}/"
    assert client.get(link).status_code == 200
    offer, _new = ownership_proposal.propose(account, to=member, stays=True, by=owner, at=NOW)
    ownership_proposal.accept(offer, by=member, at=NOW)
    assert client.get(link).status_code == 404
    assert client.get("/user/export/").status_code == 403


def test_an_account_that_is_deactivated_shows_no_people_and_lets_nobody_go_astray(
    account: Account, owner: User, sign_in: SignIn
) -> None:
    Account.objects.filter(pk=account.pk).update(deactivated_at=NOW)
    client = sign_in(owner)
    assert client.get(PEOPLE).status_code == 403
    answer = client.post(f"{PEOPLE}invitations/", {"account": account.pk, "email": "n@new.example", "role": "user"})
    assert answer.status_code == 403
    assert not account.invitations.exists()
