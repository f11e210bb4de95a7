"""Inviting people: who may, what goes out, who can join by it, and what ends it."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.test import Client
from pytest_django import Settings

from accounts.core.limits import TooOften
from accounts.customers.history import Actor
from accounts.mail.sending import send_due
from accounts.models import Account, Event, Invitation, Membership, Notice, Role, User
from accounts.people import inviting, joining, members
from accounts.people.invitation import hash_of
from accounts.signing_in.addresses import is_proven
from tests.factories import NOW, PASSWORD, AccountFactory, UserFactory
from tests.pages import form_on, press

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
PEOPLE = "/user/people/"
DAY = timedelta(days=1)
NEW = "nora@new.example"


@pytest.fixture(autouse=True)
def frozen(settings: Settings) -> Any:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def invited(account: Account, email: str = NEW, role: Role = Role.USER) -> Invitation:
    owner = account.owner()
    assert owner is not None
    return inviting.invite(account, email=email, role=role, by=Actor.owner(owner), at=NOW)[0]


def link_in(letter: Any) -> str:
    found = re.search(r"http://testserver(/invitation/\w+/)", letter.body)
    assert found, letter.body
    return found[1]


def test_an_owner_invites_and_somebody_new_joins(
    account: Account, owner: User, sign_in: SignIn, mailoutbox: list[Any]
) -> None:
    assert (
        press(sign_in(owner), PEOPLE, f"{PEOPLE}invitations/", email="Nora@New.example", role="admin").status_code
        == 302
    )
    assert send_due(NOW) == 1
    (letter,) = mailoutbox
    assert letter.recipients() == [NEW]
    assert letter.subject == "You are invited to Harbour on Blueprints"
    assert "Olga Owner invites you to the account Harbour on Blueprints." in letter.body
    assert "You would join as an administrator." in letter.body
    assert "because somebody entered your address to invite you" in letter.body
    newcomer = Client()
    assert newcomer.get(link_in(letter))["Location"] == "/invitation/"
    page = newcomer.get("/invitation/").content.decode()
    assert "You will sign in as nora@new.example." in page
    assert not User.objects.filter(email=NEW).exists(), "a mailbox that opens links changes nothing"
    answer = press(newcomer, "/invitation/", "/invitation/join/", name="Nora", password="a harbour with ferries")
    assert (answer.status_code, answer["Location"]) == (302, "/")
    nora = User.objects.get(email=NEW)
    assert is_proven(nora)
    place = nora.memberships.get()
    assert (place.account, place.role, place.joined_at) == (account, Role.ADMIN, NOW)
    assert "Harbour" in newcomer.get("/").content.decode()
    assert list(Event.objects.order_by("id").values_list("kind", "actor_kind", "actor_id")) == [
        ("person.invited", "owner", owner.pk),
        ("person.joined", "member", nora.pk),
    ]
    assert not [event for event in Event.objects.all() if NEW in str(event.facts)], "history holds no addresses"
    # Once: the link opens nothing for anybody else.
    assert Client().get(link_in(letter)).status_code == 302
    again = Client()
    again.get(link_in(letter))
    assert again.get("/invitation/").status_code == 410


def test_who_signs_in_here_already_joins_with_one_button(
    account: Account, stranger: User, sign_in: SignIn, mailoutbox: list[Any]
) -> None:
    invited(account, stranger.email)
    send_due(NOW)
    client = sign_in(stranger)
    client.get(link_in(mailoutbox[0]))
    answer = press(client, "/invitation/", "/invitation/accept/", follow=True)
    assert "Welcome to Harbour." in answer.content.decode()
    assert stranger.memberships.filter(account=account, role=Role.USER).exists()
    # The other tab's button, pressed late, does no harm.
    assert client.get("/invitation/").status_code == 410


def test_two_tabs_join_once(account: Account, stranger: User, sign_in: SignIn, mailoutbox: list[Any]) -> None:
    invited(account, stranger.email)
    send_due(NOW)
    client = sign_in(stranger)
    client.get(link_in(mailoutbox[0]))
    form = form_on(client, "/invitation/", "/invitation/accept/")
    assert client.post(form.action, form.sent()).status_code == 302
    client.get(link_in(mailoutbox[0]))
    answer = client.post(form.action, form.sent(), follow=True)
    assert "You are a member of Harbour already." in answer.content.decode()
    assert Event.objects.filter(kind="person.joined").count() == 1


def test_who_is_signed_out_but_known_signs_in_and_comes_back(
    account: Account, stranger: User, mailoutbox: list[Any]
) -> None:
    invited(account, stranger.email)
    send_due(NOW)
    client = Client()
    client.get(link_in(mailoutbox[0]))
    page = client.get("/invitation/").content.decode()
    assert "Sign in as stranger@example.net, then you can join." in page
    assert '/auth/login/?next=%2Finvitation%2F"' in page
    signed_in = client.post("/auth/login/?next=/invitation/", {"login": stranger.email, "password": PASSWORD})
    assert signed_in["Location"] == "/invitation/"
    assert press(client, "/invitation/", "/invitation/accept/").status_code == 302
    assert stranger.memberships.count() == 2


def test_who_is_signed_in_as_somebody_else_can_not_join_but_go_on_as_the_one_who_was_invited(
    account: Account, stranger: User, sign_in: SignIn, mailoutbox: list[Any]
) -> None:
    invited(account, NEW)
    send_due(NOW)
    client = sign_in(stranger)
    client.get(link_in(mailoutbox[0]))
    page = client.get("/invitation/").content.decode()
    assert "It was sent to nora@new.example. You are signed in as stranger@example.net." in page
    answer = client.post("/invitation/accept/", {"shown": f"{Invitation.objects.get().pk} user"})
    assert answer.status_code == 409
    assert not stranger.memberships.filter(account=account).exists()
    assert client.post("/invitation/sign-out/")["Location"] == "/invitation/"
    assert "_auth_user_id" not in client.session
    assert "You will sign in as nora@new.example." in client.get("/invitation/").content.decode()


def test_the_inviter_learns_nothing_about_whether_an_address_signs_in_here(
    account: Account, owner: User, stranger: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    pages = []
    for email in (stranger.email, NEW):
        answer = press(client, PEOPLE, f"{PEOPLE}invitations/", email=email, role="user")
        page = client.get(answer["Location"]).content.decode().replace(email, "ADDRESS")
        pages.append(re.sub(r'(value|content|action)="[^"]*"|\s+', "", page))
        Invitation.objects.all().delete()
    assert pages[0] == pages[1]
    known, unknown = Notice.objects.order_by("address").values("recipient_id", "facts__language", "kind")[::-1]
    assert known == unknown


def test_an_invitation_ends_after_seven_days_to_the_second(account: Account, stranger: User) -> None:
    invitation = invited(account, stranger.email)
    with pytest.raises(joining.CannotJoin):
        joining.join(invitation, user=stranger, at=NOW + 7 * DAY)
    assert joining.join(invitation, user=stranger, at=NOW + 7 * DAY - timedelta(seconds=1))[1]


def test_an_invitation_that_is_taken_back_between_page_and_button_lets_nobody_in(
    account: Account, owner: User, stranger: User, sign_in: SignIn, mailoutbox: list[Any]
) -> None:
    invitation = invited(account, stranger.email)
    send_due(NOW)
    client = sign_in(stranger)
    client.get(link_in(mailoutbox[0]))
    form = form_on(client, "/invitation/", "/invitation/accept/")
    assert inviting.revoke(invitation, by=Actor.owner(owner), at=NOW)
    answer = client.post(form.action, form.sent())
    assert answer.status_code == 409
    assert "This invitation is no longer valid." in answer.content.decode()
    assert stranger.memberships.count() == 1


def test_a_mail_that_waits_is_not_sent_once_the_invitation_is_taken_back(account: Account, owner: User) -> None:
    invitation = invited(account)
    inviting.revoke(invitation, by=Actor.owner(owner), at=NOW)
    assert send_due(NOW) == 0
    assert not inviting.revoke(invitation, by=Actor.owner(owner), at=NOW), "twice is once"
    assert Event.objects.filter(kind="invitation.revoked").count() == 1


def test_a_mail_sent_again_ends_the_link_of_the_one_before(
    account: Account, owner: User, sign_in: SignIn, mailoutbox: list[Any], frozen: Any
) -> None:
    invitation = invited(account)
    send_due(NOW)
    opened_before = Client()
    opened_before.get(link_in(mailoutbox[0]))
    frozen.move_to(NOW + 6 * DAY)
    client = sign_in(owner)
    assert press(client, PEOPLE, f"{PEOPLE}invitations/{invitation.pk}/resend/").status_code == 302
    send_due(NOW + 6 * DAY)
    old, new = (link_in(letter) for letter in mailoutbox)
    assert old != new
    assert Client().get(old).status_code == 410
    assert Client().get(new).status_code == 302
    assert opened_before.get("/invitation/").status_code == 410
    invitation.refresh_from_db()
    assert invitation.expires_at == NOW + 13 * DAY


def test_the_same_address_invited_twice_is_one_invitation_and_one_mail(account: Account, owner: User) -> None:
    by = Actor.owner(owner)
    first, new = inviting.invite(account, email=NEW, role=Role.USER, by=by, at=NOW)
    again, new_again = inviting.invite(account, email=NEW, role=Role.USER, by=by, at=NOW)
    assert (first.pk, new, new_again) == (again.pk, True, False)
    assert Notice.objects.count() == 1
    # Another role is another promise: a new mail, and the link of the waiting one is none.
    other, new = inviting.invite(account, email=NEW, role=Role.ADMIN, by=by, at=NOW)
    assert (other.pk, new, other.role) == (first.pk, True, Role.ADMIN)
    assert Notice.objects.count() == 1
    # An expired one is renewed.
    assert inviting.invite(account, email=NEW, role=Role.ADMIN, by=by, at=NOW + 8 * DAY)[1]
    assert Invitation.objects.count() == 1


def test_an_address_in_foreign_letters_is_one_address(account: Account, owner: User, sign_in: SignIn) -> None:
    client = sign_in(owner)
    for typed in ("ida@bücher.example", " Ida@XN--BCHER-KVA.example "):
        assert press(client, PEOPLE, f"{PEOPLE}invitations/", email=typed, role="user").status_code == 302
    assert Invitation.objects.get().email == "ida@xn--bcher-kva.example"


def test_who_is_a_member_already_is_not_invited(account: Account, owner: User, member: User, sign_in: SignIn) -> None:
    answer = press(sign_in(owner), PEOPLE, f"{PEOPLE}invitations/", email=member.email, role="user")
    assert answer.status_code == 422
    assert "is a member of this account already." in answer.content.decode()
    assert not Invitation.objects.exists()


def test_who_became_a_member_otherwise_accepts_without_a_second_place(account: Account, stranger: User) -> None:
    invitation = invited(account, stranger.email, Role.ADMIN)
    Membership.objects.create(account=account, user=stranger, role=Role.USER)
    place, new = joining.join(invitation, user=stranger, at=NOW)
    assert (place.role, new) == (Role.USER, False)
    assert Invitation.objects.unanswered().count() == 0


def test_an_account_that_is_deactivated_or_being_erased_takes_nobody_in(account: Account, stranger: User) -> None:
    invitation = invited(account, stranger.email)
    for field in ("deactivated_at", "purging_at"):
        Account.objects.filter(pk=account.pk).update(**{field: NOW})
        with pytest.raises(joining.AccountClosed):
            joining.join(invitation, user=stranger, at=NOW)
        with pytest.raises(joining.AccountClosed):
            joining.join_as_newcomer(invitation, name="N", password=PASSWORD, at=NOW)
        Account.objects.filter(pk=account.pk).update(**{field: None})
    assert joining.join(invitation, user=stranger, at=NOW)[1]


def test_an_account_sends_thirty_invitations_an_hour_and_an_address_gets_five(account: Account, owner: User) -> None:
    by = Actor.owner(owner)
    for number in range(30):
        inviting.invite(account, email=f"n{number}@new.example", role=Role.USER, by=by, at=NOW)
    with pytest.raises(TooOften):
        inviting.invite(account, email="last@new.example", role=Role.USER, by=by, at=NOW)
    inviting.invite(account, email="last@new.example", role=Role.USER, by=by, at=NOW + timedelta(hours=1))
    for number in range(5):
        other = AccountFactory(name=f"Other {number}")
        inviting.invite(other, email="one@new.example", role=Role.USER, by=Actor.system(), at=NOW)
    with pytest.raises(TooOften):
        inviting.invite(AccountFactory(), email="one@new.example", role=Role.USER, by=Actor.system(), at=NOW)
    assert not Invitation.objects.filter(account__name__startswith="Account").exists()


def test_a_dump_of_the_database_opens_no_invitation(account: Account) -> None:
    invitation = invited(account)
    token = invitation.token()
    assert invitation.token_hash == hash_of(token)
    rows = [str(row) for row in (*Invitation.objects.values(), *Notice.objects.values(), *Event.objects.values())]
    assert not [row for row in rows if token in row]


def test_a_person_in_no_account_finds_the_invitations_to_their_address(
    account: Account, sign_in: SignIn, settings: Settings
) -> None:
    settings.BUY_URL = "https://shop.example/"
    person = UserFactory(email=NEW)
    client = sign_in(person)
    page = client.get("/")
    assert page.status_code == 403
    words = page.content.decode()
    assert "Ask its owner or an administrator to invite nora@new.example" in words
    assert 'href="https://shop.example/"' in words
    invited(account, NEW)
    answer = press(client, "/", "/invitation/accept/", follow=True)
    assert "Welcome to Harbour." in answer.content.decode()
    assert person.memberships.count() == 1


def test_an_unproven_address_joins_by_the_link_alone(account: Account, sign_in: SignIn) -> None:
    person = UserFactory(email=NEW, is_proven=False)
    invitation = invited(account, NEW)
    client = sign_in(person)
    assert "Join Harbour" not in client.get("/").content.decode()
    shown = {"shown": f"{invitation.pk} user", "invitation": str(invitation.pk)}
    assert client.post("/invitation/accept/", shown).status_code != 302
    client.get(f"/invitation/{invitation.token()}/")
    assert press(client, "/invitation/", "/invitation/accept/").status_code == 302
    assert is_proven(person)


def test_who_may_not_sign_in_does_not_join(account: Account, stranger: User) -> None:
    invitation = invited(account, stranger.email)
    User.objects.filter(pk=stranger.pk).update(is_active=False)
    with pytest.raises(joining.NotAllowed):
        joining.join(invitation, user=stranger, at=NOW)


def test_nobody_becomes_owner_by_an_invitation(account: Account) -> None:
    with pytest.raises(IntegrityError, match="invitation_role_is_offered"), transaction.atomic():
        invited(account, role=Role.OWNER)


def test_who_was_removed_can_not_come_back_by_an_invitation_made_before(
    account: Account, owner: User, admin: User, stranger: User
) -> None:
    by_admin, _new = inviting.invite(account, email=stranger.email, role=Role.USER, by=Actor.member(admin), at=NOW)
    members.remove(account, user=admin, by=owner, at=NOW)
    with pytest.raises(joining.CannotJoin):
        joining.join(by_admin, user=stranger, at=NOW)


def test_ended_invitations_and_their_mails_are_forgotten_after_thirty_days(account: Account, owner: User) -> None:
    invitation = invited(account)
    send_due(NOW)
    inviting.revoke(invitation, by=Actor.owner(owner), at=NOW)
    assert inviting.forget_ended(NOW + 30 * DAY) == 0
    assert list(inviting.preview(NOW + 31 * DAY)) == ["1 invitations that ended more than 30 days ago"]
    assert inviting.forget_ended(NOW + 31 * DAY) == 1
    assert inviting.forget_ended(NOW + 38 * DAY) == 1
    assert not Invitation.objects.exists()
    assert not Notice.objects.exists()


def test_the_mail_is_in_the_language_of_who_invites_or_of_whom_we_know(
    account: Account, owner: User, stranger: User, sign_in: SignIn, mailoutbox: list[Any]
) -> None:
    User.objects.filter(pk=owner.pk).update(language="fr")
    User.objects.filter(pk=stranger.pk).update(language="en")
    client = sign_in(owner)
    for email in (NEW, stranger.email):
        press(client, PEOPLE, f"{PEOPLE}invitations/", email=email, role="user")
    send_due(NOW)
    subjects = {letter.recipients()[0]: letter.subject for letter in mailoutbox}
    assert subjects == {
        NEW: "Invitation à rejoindre Harbour sur Blueprints",
        stranger.email: "You are invited to Harbour on Blueprints",
    }
