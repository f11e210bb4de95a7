"""Accounts and their people through the API: the same transitions as everywhere, told twice as told once."""

import uuid
from typing import Any

import pytest

from accounts.mail.sending import write
from accounts.models import Account, Event, Membership, Notice, Role, User
from accounts.signing_in.addresses import note_proven
from tests.accounts.api.calling import HARBOUR, Caller, pointers, problem
from tests.accounts.erasure.purging import erase_all

pytestmark = pytest.mark.django_db


def opened(call: Caller, **changes: Any) -> Any:
    response = call.post("accounts/", HARBOUR | changes)
    assert response.status_code == 201, response.content
    return response.json()


def member(**changes: Any) -> dict[str, Any]:
    return {"email": "mia@harbour.example", "name": "Mia Member", "role": "user", **changes}


def test_an_account_is_created_with_its_owner_and_the_history_names_the_token(call: Caller) -> None:
    response = call.post("accounts/", HARBOUR)
    account = Account.objects.get()
    assert (response.status_code, response.json()) == (
        201,
        {
            "id": str(account.pk),
            "version": 1,
            "external_id": "cust-1",
            "name": "Harbour Diagrams",
            "created_at": account.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ").replace(".000000Z", "Z"),
            "deactivated_at": None,
            "owner": {
                "external_id": "u-1",
                "email": "olga@harbour.example",
                "name": "Olga Owner",
                "language": "fr",
                "time_zone": "Europe/Paris",
            },
        },
    )
    owner = account.owner()
    assert owner is not None
    assert not owner.has_usable_password()
    told = Notice.objects.get()
    assert (told.kind, told.recipient, told.facts) == ("accounts/account_opened", owner, {"needs_way_in": True})
    event = Event.objects.get(account=account)
    assert (event.kind, event.actor_kind, event.actor_id) == ("account.opened", *call.actor)
    assert event.facts == {"owner": owner.pk}


def test_the_same_account_told_again_is_the_one_that_is_there(call: Caller) -> None:
    first = opened(call)
    again = call.post("accounts/", HARBOUR)
    assert (again.status_code, again.json()) == (200, first)
    other_name = call.post("accounts/", HARBOUR | {"name": "Other"})
    assert problem(other_name) == (409, "external_id_taken")
    other_owner = call.post("accounts/", HARBOUR | {"owner": HARBOUR["owner"] | {"external_id": "u-2"}})  # type: ignore[operator]
    assert problem(other_owner) == (409, "external_id_taken")
    assert (Account.objects.count(), User.objects.count(), Event.objects.filter(kind="account.opened").count()) == (
        1,
        1,
        1,
    )


def test_a_person_is_known_by_id_else_by_address_and_keeps_what_they_said_of_themselves(call: Caller) -> None:
    opened(call)
    User.objects.update(name="Olga O.", language="en")
    second = opened(call, external_id="cust-2")
    assert second["owner"]["name"] == "Olga O."
    assert User.objects.count() == 1
    other_address = call.post(
        "accounts/", HARBOUR | {"external_id": "cust-3", "owner": {"external_id": "u-1", "email": "new@x.example"}}
    )
    assert problem(other_address) == (409, "external_id_taken")
    other_id = call.post(
        "accounts/",
        HARBOUR | {"external_id": "cust-3", "owner": {"external_id": "u-9", "email": "olga@harbour.example"}},
    )
    assert problem(other_id) == (409, "address_taken")
    assert Account.objects.count() == 2


def test_somebody_who_signed_in_before_gets_the_external_id(call: Caller, owner: User) -> None:
    told = opened(call, owner={"external_id": "u-7", "email": owner.email})
    owner.refresh_from_db()
    assert (owner.external_id, told["owner"]["name"]) == ("u-7", "Olga Owner")


def test_staff_are_nobodys_customers(call: Caller, agent: User) -> None:
    refused = call.post("accounts/", HARBOUR | {"owner": {"external_id": "s", "email": agent.email}})
    assert problem(refused) == (409, "refused")
    agent.refresh_from_db()
    assert (agent.external_id, Account.objects.count()) == (None, 0)


def test_an_account_is_found_by_its_external_id(call: Caller) -> None:
    told = opened(call)
    assert call.get("accounts/?external_id=cust-1").json() == {"items": [told], "next": None}
    assert call.get("accounts/?external_id=cust-2").json() == {"items": [], "next": None}
    assert call.get(f"accounts/{told['id']}/").json() == told


def test_a_list_goes_on_where_it_ended_though_rows_come_and_go(call: Caller) -> None:
    ids = [opened(call, external_id=f"cust-{number}")["id"] for number in range(5)]
    first = call.get("accounts/?limit=2").json()
    Account.objects.filter(pk=ids[0]).update(name="Renamed")
    second = call.get(f"accounts/?limit=2&cursor={first['next']}").json()
    third = call.get(f"accounts/?limit=2&cursor={second['next']}").json()
    assert [row["id"] for found in (first, second, third) for row in found["items"]] == ids
    assert third["next"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=nonsense", "cursor=WyJ4Il0", "wrong=1"])
def test_a_list_is_not_asked_for_like_that(call: Caller, query: str) -> None:
    refused = call.get(f"accounts/?{query}")
    assert problem(refused) == (422, "invalid")
    assert pointers(refused) == ["query:" + query.partition("=")[0]] if not query.startswith("wrong") else True


def test_a_change_needs_the_newest_etag_and_every_change_makes_another_one(call: Caller) -> None:
    told = opened(call)
    path = f"accounts/{told['id']}/"
    etag = call.get(path)["ETag"]
    assert etag.startswith('"')
    assert problem(call.patch(path, {"name": "New"})) == (428, "precondition_required")
    changed = call.patch(path, {"name": "New"}, If_Match=etag)
    assert (changed.status_code, changed.json()["name"], changed.json()["version"]) == (200, "New", 2)
    assert problem(call.patch(path, {"name": "Newer"}, If_Match=etag)) == (412, "stale")
    back = call.patch(path, {"name": "Harbour Diagrams"}, If_Match=changed["ETag"])
    # The same words as in the beginning, and yet another state.
    assert back["ETag"] != etag
    assert Account.objects.get().name == "Harbour Diagrams"
    events = Event.objects.filter(kind="account.changed")
    assert [event.facts for event in events] == [{"changed": ["name"]}, {"changed": ["name"]}]
    assert call("GET", path, headers={"If-None-Match": back["ETag"]}).status_code == 304


def test_an_external_id_belongs_to_one(call: Caller) -> None:
    opened(call)
    second = opened(call, external_id="cust-2")
    etag = call.get(f"accounts/{second['id']}/")["ETag"]
    refused = call.patch(f"accounts/{second['id']}/", {"external_id": "cust-1", "name": "New"}, If_Match=etag)
    assert problem(refused) == (409, "external_id_taken")
    assert Account.objects.get(pk=second["id"]).name == "Harbour Diagrams"


def test_members_come_change_and_go(call: Caller) -> None:
    account = opened(call)
    path = f"accounts/{account['id']}/members/"
    put = call.put(f"{path}u-2/", member())
    assert (put.status_code, put.json()["role"], put.json()["person"]["external_id"]) == (201, "user", "u-2")
    again = call.put(f"{path}u-2/", member())
    assert (again.status_code, again.json()) == (200, put.json())
    admin = call.put(f"{path}u-2/", member(role="admin", name="Other"))
    assert (admin.status_code, admin.json()["role"], admin.json()["person"]["name"]) == (200, "admin", "Mia Member")
    listed = call.get(path).json()
    assert [(row["person"]["external_id"], row["role"]) for row in listed["items"]] == [
        ("u-1", "owner"),
        ("u-2", "admin"),
    ]
    assert call.delete(f"{path}u-2/").status_code == 204
    assert call.delete(f"{path}u-2/").status_code == 204
    kinds = Event.objects.filter(account=account["id"]).order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["account.opened", "member.added", "person.role_changed", "person.removed"]


def test_who_is_new_is_mailed_a_way_in_once_unless_they_are_not_to_be(call: Caller) -> None:
    account = opened(call)
    Notice.objects.all().delete()
    path = f"accounts/{account['id']}/members/"
    for _again in range(2):
        call.put(f"{path}u-2/", member(role="admin"))
    call.put(f"{path}u-2/", member())
    call.put(f"{path}u-3/", member(email="max@harbour.example", notify=False))
    notice = Notice.objects.get()
    assert (notice.kind, notice.sent_to) == ("accounts/member_added", "mia@harbour.example")
    # No link stands in a row.
    assert notice.facts == {"role": "admin", "needs_way_in": True}
    letter = write(notice)
    assert "Choose a password first" in letter.body
    assert "/auth/password/reset/key/" in letter.body


def test_the_owner_is_neither_removed_nor_given_another_role(call: Caller) -> None:
    account = opened(call)
    path = f"accounts/{account['id']}/members/u-1/"
    assert problem(call.delete(path)) == (409, "last_owner")
    assert problem(call.put(path, member(email="olga@harbour.example", role="admin"))) == (409, "last_owner")
    assert problem(call.put(path, member(email="olga@harbour.example", role="owner"))) == (422, "invalid")
    assert Membership.objects.get().role == Role.OWNER


def test_an_account_is_handed_over_and_both_are_told(call: Caller) -> None:
    account = opened(call)
    call.put(f"accounts/{account['id']}/members/u-2/", member())
    path = f"accounts/{account['id']}/ownership/"
    assert problem(call.post(path, {"external_id": "u-2"})) == (409, "not_proven")
    assert problem(call.post(path, {"external_id": "u-3"})) == (404, "not_found")
    note_proven(User.objects.get(external_id="u-2"))
    done = call.post(path, {"external_id": "u-2", "stays": True})
    assert (done.status_code, done.json()["owner"]["external_id"]) == (200, "u-2")
    assert call.post(path, {"external_id": "u-2"}).status_code == 200
    assert Notice.objects.filter(kind="accounts/ownership_handed_over").count() == 2
    event = Event.objects.get(kind="ownership.handed_over")
    assert (event.actor_kind, event.actor_id) == call.actor


def test_who_is_told_by_the_vendor_gets_no_mail(call: Caller) -> None:
    account = opened(call, notify=False)
    call.put(f"accounts/{account['id']}/members/u-2/", member(notify=False))
    call.put(f"accounts/{account['id']}/members/u-3/", member(email="max@harbour.example", notify=False))
    call.delete(f"accounts/{account['id']}/members/u-3/?notify=false")
    note_proven(User.objects.get(external_id="u-2"))
    call.post(f"accounts/{account['id']}/ownership/", {"external_id": "u-2", "notify": False})
    call.post(f"accounts/{account['id']}/deletion/", {"notify": False})
    assert Notice.objects.count() == 0
    assert Event.objects.filter(kind__in=["ownership.handed_over", "request.made"]).count() == 2


def test_a_deletion_is_asked_for_once_and_deletes_nothing(call: Caller) -> None:
    account = opened(call)
    path = f"accounts/{account['id']}/deletion/"
    asked = call.post(path, {"message": "They wrote to us."})
    again = call.post(path, {})
    assert (asked.status_code, again.status_code) == (201, 200)
    assert asked.json() == again.json()
    assert asked.json()["reference"].startswith("REQ-")
    assert Account.objects.count() == 1
    kinds = Notice.objects.order_by("kind").values_list("kind", flat=True)
    assert list(kinds) == ["accounts/account_opened", "accounts/request_received"]


def test_what_never_was_is_not_found_and_what_was_erased_is_gone(call: Caller) -> None:
    account = opened(call)
    unknown = uuid.uuid4()
    assert problem(call.get(f"accounts/{unknown}/")) == (404, "not_found")
    erase_all(Account.objects.get(pk=account["id"]))
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "New"}),
        ("GET", "members/", None),
        ("PUT", "members/u-2/", member()),
        ("DELETE", "members/u-2/", None),
        ("POST", "ownership/", {"external_id": "u-2"}),
        ("POST", "deletion/", {}),
        ("GET", "entitlements/", None),
    ):
        response = call(method, f"accounts/{account['id']}/{path}", body, headers={"If-Match": "*"})
        assert problem(response) == (410, "erased"), path
