"""An address counts once it is proven; changing it takes the password and tells the old one."""

import re
from collections.abc import Callable
from datetime import datetime

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client
from pytest_django import Settings

from accounts.customers.history import Actor
from accounts.models import Account, Membership, Role, User
from accounts.signing_in.addresses import forget_claims, is_proven, note_proven
from accounts.support.ownership import NotProven, hand_over
from tests.factories import NOW, PASSWORD, UserFactory

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]


def enter(user: User, password: str = PASSWORD) -> Client:
    client = Client()
    client.post("/auth/login/", {"login": user.email, "password": password})
    return client


def is_in(client: Client) -> bool:
    return client.get("/user/preferences/").status_code == 200


def link_in_mail_to(address: str) -> str:
    (sent,) = [message for message in mail.outbox if message.to == [address] and "/auth/" in str(message.body)]
    found = re.search(r"http://testserver\S*(/auth/\S+)|http://127\.0\.0\.1:8000(/auth/\S+)", str(sent.body))
    assert found, sent.body
    return found[1] or found[2]


def test_whoever_has_not_proven_the_address_is_sent_a_link_first() -> None:
    user = UserFactory(is_proven=False)
    client = enter(user)
    assert not is_in(client)
    link = link_in_mail_to(user.email)
    assert Client().get(link).status_code == 200
    assert not is_proven(user)  # looking at the page is what a mail scanner does, too
    Client().post(link)
    assert is_proven(user)
    assert is_in(enter(user))


def test_changing_the_address_asks_for_the_password_proves_the_new_one_and_tells_the_old_one(owner: User) -> None:
    client, old = enter(owner), owner.email
    asked = client.post("/auth/email/", {"email": "new@example.org", "action_add": ""})
    assert asked["Location"].startswith("/auth/reauthenticate/")
    assert not EmailAddress.objects.filter(email="new@example.org").exists()

    client.post(asked["Location"], {"password": PASSWORD})
    assert EmailAddress.objects.get(email="new@example.org").verified is False
    owner.refresh_from_db()
    assert owner.email == old
    assert not is_in(enter(User(email="new@example.org")))

    client.post(link_in_mail_to("new@example.org"))
    owner.refresh_from_db()
    assert owner.email == "new@example.org"
    told = [message for message in mail.outbox if message.to == [old]]
    assert len(told) == 1
    assert "new@example.org" in str(told[0].body)
    assert is_in(enter(owner))


def test_nobody_takes_the_address_of_somebody_else(owner: User, stranger: User) -> None:
    client = enter(stranger)
    asked = client.post("/auth/email/", {"email": owner.email, "action_add": ""})
    client.post(asked["Location"], {"password": PASSWORD})
    claimed = EmailAddress.objects.filter(user=stranger, email=owner.email).first()
    assert claimed is None or not claimed.verified
    # The password of whoever claims it opens nothing at that address.
    other = Client()
    other.post("/auth/login/", {"login": owner.email, "password": "not the owner's"})
    assert not is_in(other)


def test_an_address_by_which_somebody_signs_in_meanwhile_is_not_taken_from_them(stranger: User) -> None:
    client = enter(stranger)
    asked = client.post("/auth/email/", {"email": "later@example.org", "action_add": ""})
    client.post(asked["Location"], {"password": PASSWORD})
    link = link_in_mail_to("later@example.org")
    UserFactory(email="later@example.org", is_proven=False)
    answer = client.post(link, follow=True)
    assert answer.status_code == 200
    assert "Somebody else signs in with this address here." in answer.content.decode()
    stranger.refresh_from_db()
    assert stranger.email == "stranger@example.net"


def test_a_proof_voids_what_others_only_claimed(owner: User, stranger: User) -> None:
    EmailAddress.objects.create(user=stranger, email=owner.email)
    EmailAddress.objects.create(user=owner, email="begun@example.org")
    EmailAddress.objects.filter(user=owner, email=owner.email).delete()
    assert note_proven(owner)
    assert not note_proven(owner)
    assert list(EmailAddress.objects.filter(user=owner).values_list("email", "verified", "primary")) == [
        (owner.email, True, True)
    ]
    assert not EmailAddress.objects.filter(user=stranger, email=owner.email).exists()


def test_claims_of_a_free_address_are_forgotten_and_no_sign_in_is(owner: User, stranger: User) -> None:
    EmailAddress.objects.create(user=stranger, email="free@example.org")
    EmailAddress.objects.filter(user=owner).update(verified=False)
    forget_claims("Free@example.org")
    forget_claims(owner.email)
    assert not EmailAddress.objects.filter(email="free@example.org").exists()
    assert EmailAddress.objects.filter(user=owner, email=owner.email).exists()


@pytest.mark.parametrize("belongs", [True, False])
def test_no_account_is_handed_over_to_an_address_that_nobody_has_proven(
    account: Account, lead: User, belongs: bool, sign_in: SignIn
) -> None:
    claimed = UserFactory(email="claimed@example.org", is_proven=False)
    if belongs:
        Membership.objects.create(account=account, user=claimed, role=Role.ADMIN, joined_at=NOW)
    with pytest.raises(NotProven):
        hand_over(account, to=claimed, stays=True, by=Actor.staff(lead), at=datetime(2026, 3, 17, tzinfo=NOW.tzinfo))
    form = {
        "new_owner": claimed.email,
        "identity": ["owner_email", "card_digits"],
        "reason": "Case 81",
        "confirmed": "yes",
    }
    answer = sign_in(lead).post(f"/admin/act/hand_over/{account.pk}/", form)
    assert answer.status_code == 409
    assert "Nobody has proven yet" in answer.content.decode()
    note_proven(claimed)
    assert sign_in(lead).post(f"/admin/act/hand_over/{account.pk}/", form).status_code == 302
    assert account.owner() == claimed


def test_links_in_mails_lead_to_where_we_are_whatever_the_request_says(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    user = UserFactory(is_proven=False)
    client = Client()
    client.post("/auth/login/", {"login": user.email, "password": PASSWORD}, HTTP_HOST="evil.example:4711")
    client.post("/auth/password/reset/", {"email": user.email}, HTTP_HOST="evil.example:4711")
    client.post("/auth/password/reset/", {"email": "nobody@example.org"}, HTTP_HOST="evil.example:4711")
    assert len(mail.outbox) == 2
    for message in mail.outbox:
        assert "evil.example" not in str(message.body) + str(message.subject)
    assert settings.SITE_URL + "/auth/" in str(mail.outbox[0].body)
    assert settings.SITE_URL + "/auth/password/reset/key/" in str(mail.outbox[1].body)
