"""Preferences, the account switcher, support: a person's own pages."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client, RequestFactory

from accounts.models import Account, Event, Membership, Notice, Role, SupportRequest, User
from accounts.views.errors import server_error
from tests.factories import NOW, AccountFactory, BlueprintFactory, ConnectionFactory
from tests.pages import press

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]


def test_the_reader_chooses_the_language_else_the_browser_does(owner: User, account: Account, sign_in: SignIn) -> None:
    client = sign_in(owner)
    french = {"Accept-Language": "fr-CA,fr;q=0.9,en;q=0.5"}
    assert "Paramètres de l" in client.get("/user/subscription/", headers=french).content.decode()
    press(client, "/user/preferences/", name="Olga", language="en", time_zone="Europe/Paris")
    assert "Subscription Settings" in client.get("/user/subscription/", headers=french).content.decode()


@pytest.mark.parametrize("change", [{"language": "tlh"}, {"time_zone": "Mars/Olympus_Mons"}, {"name": "x" * 151}])
def test_preferences_that_do_not_exist_are_refused(
    owner: User, account: Account, sign_in: SignIn, change: dict[str, str]
) -> None:
    response = sign_in(owner).post(
        "/user/preferences/", {"name": "Olga", "language": "fr", "time_zone": "UTC", **change}
    )
    assert response.status_code == 422
    owner.refresh_from_db()
    assert (owner.name, owner.language, owner.time_zone) == ("Olga Owner", "", "")


def test_a_zone_that_was_dropped_from_the_database_does_not_break_pages(
    owner: User, account: Account, sign_in: SignIn
) -> None:
    User.objects.filter(pk=owner.pk).update(time_zone="Europe/Atlantis", language="xx")
    assert sign_in(owner).get("/user/subscription/").status_code == 200


def test_a_person_in_several_accounts_switches_between_them(owner: User, account: Account, sign_in: SignIn) -> None:
    other = AccountFactory(name="Zebra")
    Membership.objects.create(account=other, user=owner, role=Role.USER)
    client = sign_in(owner)
    assert "Harbour is on the Free plan" in client.get("/").content.decode()
    client.post("/user/account/", {"account": str(other.pk)})
    assert "Zebra is on the Free plan" in client.get("/").content.decode()
    # In the other account this person is no owner.
    assert client.post("/user/subscription/cancellation/", {"account": other.pk}).status_code == 403


@pytest.mark.parametrize("chosen", ["", "nonsense", "11111111-2222-4333-8444-555555555555"])
def test_switching_to_nothing_changes_nothing(owner: User, account: Account, sign_in: SignIn, chosen: str) -> None:
    client = sign_in(owner)
    assert client.post("/user/account/", {"account": chosen}).status_code in (302, 404)
    assert "Harbour is on the Free plan" in client.get("/").content.decode()


def test_a_request_gets_a_reference_and_an_acknowledgement(owner: User, account: Account, sign_in: SignIn) -> None:
    client = sign_in(owner)
    press(client, "/user/support/", kind="refund", message="Too <i>soon</i>")
    request = SupportRequest.objects.get()
    page = client.get("/user/support/").content.decode()
    assert request.reference in page
    assert Notice.objects.get().facts["reference"] == request.reference
    assert Event.objects.get().facts == {"reference": request.reference, "about": "refund"}


def test_a_deletion_is_to_be_answered_within_one_month(owner: User, account: Account, sign_in: SignIn) -> None:
    press(sign_in(owner), "/user/support/", kind="deletion")
    request = SupportRequest.objects.get()
    assert request.due_at is not None
    assert 28 <= (request.due_at - request.made_at).days <= 31


def test_asking_twice_for_the_same_is_one_request(owner: User, account: Account, sign_in: SignIn) -> None:
    client = sign_in(owner)
    for _time in range(2):
        press(client, "/user/support/", kind="refund")
    assert SupportRequest.objects.count() == 1
    assert Notice.objects.count() == 1


@pytest.mark.parametrize(
    "posted", [{}, {"kind": "everything"}, {"kind": "other"}, {"kind": "other", "message": "x" * 5001}]
)
def test_a_request_that_says_nothing_is_refused(
    owner: User, account: Account, sign_in: SignIn, posted: dict[str, Any]
) -> None:
    assert press(sign_in(owner), "/user/support/", **posted).status_code == 422
    assert not SupportRequest.objects.exists()


def test_members_may_ask_but_not_for_what_the_owner_decides(member: User, account: Account, sign_in: SignIn) -> None:
    client = sign_in(member)
    refused = press(client, "/user/support/", kind="deletion", message="Please delete it all.")
    assert refused.status_code == 422
    assert "Only the owner of the account can ask for this." in refused.content.decode()
    # What they wrote is not lost.
    assert "Please delete it all.</textarea>" in refused.content.decode()
    assert press(client, "/user/support/", kind="refund").status_code == 422
    assert press(client, "/user/support/", kind="other", message="Hello").status_code == 302
    assert SupportRequest.objects.get().kind == "other"


def test_connections_say_since_when_they_are_paused(owner: User, account: Account, sign_in: SignIn) -> None:
    connection = ConnectionFactory(
        account=account, resources=[{"id": "i-1", "type": "ec2", "name": "web-1", "region": "eu-west-1"}]
    )
    client = sign_in(owner)
    for page in ("/connections/", f"/connections/{connection.pk}/"):
        words = client.get(page).content.decode()
        assert "paused since" in words
        assert "February 10, 2025" in words
    assert "web-1" in client.get(f"/connections/{connection.pk}/").content.decode()


def test_a_strict_policy_holds_on_every_page(owner: User, account: Account, sign_in: SignIn) -> None:
    BlueprintFactory(account=account)
    client = sign_in(owner)
    for page in ("/", "/user/subscription/", "/user/support/", "/auth/2fa/", "/nothing/here/", "/admin/"):
        policy = client.get(page, follow=True)["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


@pytest.mark.parametrize(("error", "status"), [(OperationalError("no connection"), 503), (ZeroDivisionError(), 500)])
def test_a_failure_is_answered_in_the_right_form(error: Exception, status: int) -> None:
    answers = []
    for path in ("/user/subscription/", "/api/accounts/"):
        try:
            raise error
        except type(error):
            answers.append(server_error(RequestFactory().get(path)))
    page, machine = answers
    assert (page.status_code, machine.status_code) == (status, status)
    assert "Nothing was half done" in page.content.decode()
    assert machine["Content-Type"] == "application/json"


def test_members_of_a_deactivated_account_write_to_support(
    owner: User, member: User, account: Account, sign_in: SignIn
) -> None:
    Account.objects.filter(pk=account.pk).update(deactivated_at=NOW)
    for person in (owner, member):
        client = sign_in(person)
        refused = client.get("/")
        assert refused.status_code == 403
        assert 'href="/user/support/?' in refused.content.decode().partition("<main")[2]
        assert client.get("/user/support/").status_code == 200
        assert press(client, "/user/support/", kind="other", message="Is this a mistake?").status_code == 302
    made = SupportRequest.objects.order_by("pk").first()
    assert made is not None
    more = press(sign_in(owner), "/user/support/", f"/user/support/{made.reference}/", text="Please look soon.")
    assert more.status_code == 302
    assert SupportRequest.objects.count() == 2
    assert made.messages.count() == 1


def test_the_owner_of_a_deactivated_account_asks_for_deletion_and_calls_it_off(
    owner: User, account: Account, sign_in: SignIn
) -> None:
    Account.objects.filter(pk=account.pk).update(deactivated_at=NOW)
    client = sign_in(owner)
    press(client, "/user/support/", kind="deletion")
    assert press(client, "/user/support/", "/user/support/deletion/call-off/").status_code == 302
    assert SupportRequest.objects.get().outcome == "called_off"


def test_once_the_erasing_has_begun_an_address_is_all_that_is_left(
    owner: User, account: Account, sign_in: SignIn
) -> None:
    Account.objects.filter(pk=account.pk).update(deactivated_at=NOW, purging_at=NOW)
    refused = sign_in(owner).get("/user/support/")
    assert refused.status_code == 403
    page = refused.content.decode()
    assert "mailto:support@blueprints.example" in page
    assert 'href="/user/support/' not in page


def test_a_deactivated_account_offers_no_door_that_is_closed(owner: User, account: Account, sign_in: SignIn) -> None:
    Account.objects.filter(pk=account.pk).update(deactivated_at=NOW)
    page = sign_in(owner).get("/user/support/").content.decode()
    assert 'href="/connections/' not in page
    assert 'href="/user/subscription/' not in page
    assert "You have another account?" not in sign_in(owner).get("/").content.decode()


def test_staff_without_an_account_are_sent_from_the_home_page_to_the_desk(agent: User, sign_in: SignIn) -> None:
    assert sign_in(agent).get("/")["Location"] == "/admin/"


def test_nothing_is_asked_for_by_a_form_that_nobody_filled_in(owner: User, account: Account, sign_in: SignIn) -> None:
    client = sign_in(owner)
    page = client.get("/user/support/").content.decode()
    assert "(optional)" not in page.partition("<main")[2].partition("</form>")[0]
    assert press(client, "/user/support/").status_code == 422
    assert press(client, "/user/support/", message="Hello?").status_code == 422
    assert press(client, "/user/support/", kind="other").status_code == 422
    assert not SupportRequest.objects.exists()
    # A refund is asked for without a word.
    assert press(client, "/user/support/", kind="refund").status_code == 302
    # The link from Subscription Settings chooses for them, and they see it.
    assert '<option value="deletion" selected>' in client.get("/user/support/?kind=deletion").content.decode()


def test_what_a_member_may_ask_is_chosen_already(member: User, account: Account, sign_in: SignIn) -> None:
    page = sign_in(member).get("/user/support/?kind=refund").content.decode()
    assert '<option value="other" selected>' in page
    assert '<option value="refund"' not in page
    assert press(sign_in(member), "/user/support/", message="Where is my receipt?").status_code == 302
