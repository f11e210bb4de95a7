"""Who signs in with GitHub, by which address, and whose token is kept."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.core import mail
from django.db import connection
from django.test import Client

from accounts.core import clock
from accounts.models import Session, User
from accounts.signing_in.addresses import is_proven
from marketplace.github.tokens import UserToken
from tests.factories import PASSWORD, UserFactory
from tests.fakes.github import FakeGitHub
from tests.marketplace.github.test_setup import sign_in_with_github, through_github

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
LOGIN, CONNECT = "/auth/github/login/", "/auth/github/login/?process=connect"

__all__ = ["sign_in_with_github"]


@pytest.fixture
def github_of(sign_in_with_github: FakeGitHub) -> Callable[..., FakeGitHub]:
    """GitHub, where this person is about to sign in."""

    def github_of(login: str = "olga", **known: Any) -> FakeGitHub:
        sign_in_with_github.signing_in = sign_in_with_github.account(login=login, **known)
        return sign_in_with_github

    return github_of


def test_the_address_that_github_has_verified_counts(github_of: Callable[..., FakeGitHub]) -> None:
    github_of(email="olga@example.org")
    client = Client()
    through_github(client, LOGIN)
    user = User.objects.get(email="olga@example.org")
    assert is_proven(user)
    assert client.get("/user/preferences/").status_code == 200


def test_an_address_that_github_has_not_verified_is_no_sign_in(github_of: Callable[..., FakeGitHub]) -> None:
    github_of(email="victim@example.org", email_is_verified=False)
    client = Client()
    answer = through_github(client, LOGIN)
    assert answer.status_code == 409
    assert "GitHub knows no confirmed address of yours" in answer.content.decode()
    assert not User.objects.exists()
    assert not UserToken.objects.exists()
    # Nor can one be typed: there is no sign-up to finish.
    client.post("/auth/3rdparty/signup/", {"email": "victim@example.org"})
    assert not User.objects.exists()
    assert not any("socialaccount_sociallogin" in session.get_decoded() for session in Session.objects.all())


def test_nor_is_one_without_any(github_of: Callable[..., FakeGitHub]) -> None:
    github_of(email="")
    assert through_github(Client(), LOGIN).status_code == 409
    assert not User.objects.exists()


def test_whoever_signs_in_by_that_address_already_is_asked_to_connect(
    github_of: Callable[..., FakeGitHub], owner: User
) -> None:
    github_of(email=owner.email)
    client = Client()
    answer = through_github(client, LOGIN)
    assert answer.status_code == 409
    assert "You sign in here already" in answer.content.decode()
    assert client.get("/user/preferences/").status_code == 302
    assert not SocialAccount.objects.exists()
    # With the password, and then GitHub, it works.
    client.post("/auth/login/", {"login": owner.email, "password": PASSWORD})
    through_github(client, CONNECT)
    assert SocialAccount.objects.get().user == owner
    assert UserToken.objects.get().user == owner
    again = Client()
    through_github(again, LOGIN)
    assert again.get("/user/preferences/").status_code == 200


def test_who_only_began_to_claim_the_address_does_not_stand_in_its_owners_way(
    github_of: Callable[..., FakeGitHub], stranger: User
) -> None:
    EmailAddress.objects.create(user=stranger, email="olga@example.org")
    github_of(email="olga@example.org")
    through_github(Client(), LOGIN)
    assert is_proven(User.objects.get(email="olga@example.org"))
    assert not EmailAddress.objects.filter(user=stranger, email="olga@example.org").exists()


def test_a_borrowed_session_connects_no_other_github(
    github_of: Callable[..., FakeGitHub], owner: User, sign_in: SignIn
) -> None:
    github_of("thief", email="thief@example.net")
    client = sign_in(owner)
    with time_machine.travel(clock.now() + timedelta(minutes=6)):
        assert client.post(CONNECT)["Location"].startswith("/auth/reauthenticate/")
        posted = client.post(LOGIN, {"process": "connect"})
        assert posted["Location"].startswith("/auth/reauthenticate/")
    assert not SocialAccount.objects.exists()
    assert not UserToken.objects.exists()


def test_the_token_of_an_unfinished_sign_in_stands_nowhere_as_it_is(
    github_of: Callable[..., FakeGitHub], owner: User, sign_in: SignIn
) -> None:
    github = github_of(email="olga@example.org", email_is_verified=False)
    through_github(Client(), LOGIN)
    through_github(sign_in(owner), CONNECT)
    values = [token.value for token in github.tokens]
    assert len(values) == 2
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT t::text FROM "{table}" AS t')  # noqa: S608  # names of our own tables
            text = str(cursor.fetchall())
            assert not any(value in text for value in values), table


def test_somebody_signed_in_who_signs_in_with_an_unknown_github_keeps_no_token_of_it(
    github_of: Callable[..., FakeGitHub], owner: User, sign_in: SignIn
) -> None:
    github_of("other", email="other@example.net")
    through_github(sign_in(owner), LOGIN)
    assert [token.user.email for token in UserToken.objects.all()] == ["other@example.net"]


def test_an_address_of_before_that_was_never_proven_is_proven_by_mail_first(
    github_of: Callable[..., FakeGitHub],
) -> None:
    """Typed at a sign-up, when that still counted."""
    github = github_of("thief", email="thief@example.net")
    claimed = UserFactory(email="victim@example.org", is_proven=False)
    assert github.signing_in
    SocialAccount.objects.create(user=claimed, provider="github", uid=str(github.signing_in.id), extra_data={})
    client = Client()
    through_github(client, LOGIN)
    assert client.get("/user/preferences/").status_code == 302
    assert [message.to for message in mail.outbox] == [["victim@example.org"]]
