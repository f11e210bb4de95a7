"""A borrowed session: what ends or gives away an account asks who it is, if the sign-in was long ago."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import time_machine
from allauth.socialaccount.models import SocialAccount
from django.test import Client

from accounts.core import clock
from accounts.customers.history import Actor
from accounts.exports.builder import export_due
from accounts.exports.export import ask
from accounts.models import Account, Export, SupportRequest, User
from subscriptions.models import Cancellation
from tests.factories import PASSWORD, subscribe
from tests.pages import press

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
CANCEL, EXPORT, SUPPORT = "/user/subscription/cancellation/", "/user/export/", "/user/support/"
AGO = timedelta(minutes=61)


@pytest.fixture
def borrowed(account: Account, owner: User, sign_in: SignIn) -> Iterator[Client]:
    """The owner's browser, left open for an hour."""
    subscribe(account, at=clock.now())
    client = sign_in(owner)
    with time_machine.travel(clock.now() + AGO):
        yield client


def asked_for_proof(answer: object) -> bool:
    return str(getattr(answer, "headers", {}).get("Location", "")).startswith("/auth/reauthenticate/")


def test_the_page_of_the_cancellation_asks_first_then_all_goes_on(borrowed: Client) -> None:
    asked = borrowed.get(CANCEL)
    assert asked_for_proof(asked)
    back = borrowed.post(asked["Location"], {"password": PASSWORD})
    assert back["Location"] == CANCEL
    press(borrowed, CANCEL)
    assert Cancellation.objects.count() == 1


def test_whoever_has_signed_in_just_now_is_not_asked(account: Account, owner: User, sign_in: SignIn) -> None:
    subscribe(account, at=clock.now())
    client = sign_in(owner)
    with time_machine.travel(clock.now() + timedelta(minutes=59)):
        press(client, CANCEL)
        assert client.get(EXPORT).status_code == 200
    assert Cancellation.objects.count() == 1


@pytest.mark.parametrize(
    ("path", "posted"),
    [(CANCEL, {"reason": "unused"}), (EXPORT, {}), (SUPPORT, {"kind": "deletion", "message": ""})],
)
def test_nothing_is_done_without_the_proof(
    borrowed: Client, account: Account, path: str, posted: dict[str, str]
) -> None:
    answer = borrowed.post(path, {"account": str(account.pk), **posted})
    assert asked_for_proof(answer)
    wrong = borrowed.post(answer["Location"], {"password": "a guess"})
    assert wrong.status_code == 200
    assert not Cancellation.objects.exists()
    assert not Export.objects.exists()
    assert not SupportRequest.objects.exists()


def test_a_deletion_that_was_asked_for_is_asked_for_once_the_proof_is_there(borrowed: Client, account: Account) -> None:
    sent = {"account": str(account.pk), "kind": "deletion", "message": "Everything, please."}
    answer = borrowed.post(SUPPORT, sent)
    borrowed.post(answer["Location"], {"password": PASSWORD})
    made = SupportRequest.objects.get()
    assert (made.kind, made.message) == ("deletion", "Everything, please.")


def test_other_requests_need_none(borrowed: Client, account: Account) -> None:
    borrowed.post(SUPPORT, {"account": str(account.pk), "kind": "other", "message": "A question."})
    assert SupportRequest.objects.count() == 1


def test_an_archive_that_is_ready_is_not_fetched_without_it(account: Account, owner: User, borrowed: Client) -> None:
    from accounts.exports.export import link_token

    export, _new = ask(account, by=Actor.owner(owner), at=clock.now())
    export_due(export.asked_at)
    link = f"/user/export/{link_token(Export.objects.get(), owner)}/"
    asked = borrowed.get(link)
    assert asked_for_proof(asked)
    borrowed.post(asked["Location"], {"password": PASSWORD})
    assert borrowed.get(link).status_code == 200


def test_people_without_a_password_sign_in_again(account: Account, owner: User, borrowed: Client) -> None:
    owner.set_unusable_password()
    owner.save()
    borrowed.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    with time_machine.travel(clock.now() + AGO):
        for answer in (borrowed.get(CANCEL), borrowed.post(EXPORT, {"account": str(account.pk)})):
            assert answer.status_code == 403
            assert "Please sign in again" in answer.content.decode()
        assert not Export.objects.exists()


WAYS_IN: list[tuple[str, dict[str, str]]] = [
    ("/auth/email/", {"email": "thief@example.net", "action_add": ""}),
    ("/auth/3rdparty/", {"account": "1"}),
    ("/auth/2fa/totp/activate/", {"code": "000000"}),
]
#: Whoever has a password changes it, which takes the old one.
NO_PASSWORD = ("/auth/password/set/", {"password1": "of the thief", "password2": "of the thief"})


@pytest.mark.parametrize(
    ("path", "posted", "has_password"),
    [*((*way, True) for way in WAYS_IN), *((*way, False) for way in [*WAYS_IN, NO_PASSWORD])],
)
def test_what_changes_the_way_in_asks_after_five_minutes(
    owner: User, sign_in: SignIn, path: str, posted: dict[str, str], has_password: bool
) -> None:
    if not has_password:
        owner.set_unusable_password()
        owner.save()
    connected = SocialAccount.objects.create(user=owner, provider="github", uid="5", extra_data={})
    client = sign_in(owner)
    with time_machine.travel(clock.now() + timedelta(minutes=6)):
        answer = client.post(path, {**posted, "account": str(connected.pk)} if "account" in posted else posted)
        if has_password:
            assert asked_for_proof(answer), answer
        else:
            assert answer.status_code == 403
    owner.refresh_from_db()
    assert owner.has_usable_password() is has_password
    assert SocialAccount.objects.exists()
    assert owner.emailaddress_set.count() == 1  # type: ignore[attr-defined]  # allauth's
