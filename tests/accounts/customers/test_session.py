"""Sessions: what stands in their table, whose they are, and when they end."""

import json
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
import time_machine
from allauth.mfa.totp.internal.auth import TOTP
from asgiref.sync import async_to_sync
from django.apps import apps
from django.contrib.auth import SESSION_KEY
from django.core import signing
from django.db import connection
from django.test import Client

from accounts.core import clock
from accounts.jobs import sweeps
from accounts.models import Account, Session, User
from accounts.signing_in import session
from accounts.signing_in.session import SessionStore, hash_of_key, hashes_of
from tests.accounts.erasure.purging import erase_all
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]


def remembering(**texts: Any) -> SessionStore:
    store = SessionStore()
    for name, text in texts.items():
        store[name] = text
    store.save()
    return store


def dump() -> str:
    """The whole table as text, as a dump has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT accounts_session::text FROM accounts_session")
        return "\n".join(row[0] for row in cursor.fetchall())


def test_a_dump_opens_no_session_and_tells_nothing_of_what_it_remembers(owner: User, sign_in: SignIn) -> None:
    client = sign_in(owner)
    key = client.cookies["sessionid"].value
    remembering(secret="JBSWY3DPEHPK3PXP", address=owner.email)
    assert key not in dump()
    assert "JBSWY3DPEHPK3PXP" not in dump()
    assert owner.email not in dump()
    assert Session.objects.get(user=owner).session_key == hash_of_key(key)
    # What stands in the table is no key.
    client.cookies["sessionid"] = hash_of_key(key)
    assert client.get("/")["Location"].startswith("/auth/login/")


def test_a_session_remembers_is_saved_again_and_ends(owner: User) -> None:
    store = remembering(note="one")
    again = SessionStore(store.session_key)
    assert again["note"] == "one"
    again["note"] = "two"
    again.save()
    assert SessionStore(store.session_key)["note"] == "two"
    assert Session.objects.count() == 1
    assert again.exists(str(store.session_key))
    again.cycle_key()
    assert not again.exists(str(store.session_key))
    assert SessionStore(again.session_key)["note"] == "two"
    again.flush()
    assert not Session.objects.exists()


def test_what_no_key_decrypts_is_a_session_that_has_just_begun() -> None:
    store = remembering(note="one")
    Session.objects.update(session_data="?")
    assert SessionStore(store.session_key).get("note") is None


def test_whoever_is_half_way_through_signing_in_is_known(owner: User) -> None:
    TOTP.activate(owner, "JBSWY3DPEHPK3PXP")
    client = Client()
    client.post("/auth/login/", {"login": owner.email, "password": PASSWORD})
    assert SESSION_KEY not in client.session
    assert list(Session.objects.values_list("user", flat=True)) == [owner.pk]


def test_sessions_of_an_address_go_with_the_person_signed_in_or_not(
    account: Account, owner: User, stranger: User, sign_in: SignIn
) -> None:
    sign_in(owner)
    half_way = remembering(tried={"where": ["sign-in", f"as {owner.email.upper()}"]})
    kept = [remembering(tried=stranger.email), remembering(note="nothing"), SessionStore()]
    kept[2][SESSION_KEY] = str(stranger.pk)
    kept[2].save()

    row = erase_all(account)

    # Where the person was signed in was ended when the erasing began.
    assert row.erased()["accounts.Session"] == 1
    assert not half_way.exists(str(half_way.session_key))
    assert set(Session.objects.values_list("pk", flat=True)) == {hash_of_key(str(store.session_key)) for store in kept}


def test_an_erasing_opens_no_session(account: Account, owner: User, django_assert_max_num_queries: Any) -> None:
    for number in range(300):
        remembering(note=number)
    from accounts.personal_data import sessions_of_people_who_go

    with django_assert_max_num_queries(3):
        assert sessions_of_people_who_go(account.pk).count() == 0


def test_addresses_are_found_in_texts_whatever_their_capitals() -> None:
    assert hashes_of(["Mail for <Jane.Doe@Example.ORG>, soon"]) == hashes_of(["jane.doe@example.org"])
    assert len(hashes_of(["a@example.org b@example.org"])) == 2
    assert hashes_of(["no address", "@", "at @ home"]) == []


def test_a_session_of_the_desk_ends_after_a_working_day(lead: User, sign_in: SignIn) -> None:
    client = sign_in(lead)
    begun = clock.now()
    assert client.get("/admin/").status_code == 200
    assert Session.objects.get().expire_date - begun == pytest.approx(timedelta(hours=8), abs=timedelta(seconds=5))
    with time_machine.travel(begun + timedelta(hours=7)):
        assert client.get("/admin/").status_code == 200
        # Whatever is saved meanwhile, it ends when it has to.
        client.post("/user/preferences/", {"name": "", "language": "", "time_zone": "UTC"})
        assert client.get("/admin/").status_code == 200
    with time_machine.travel(begun + timedelta(hours=8, minutes=1)):
        assert client.get("/admin/").status_code == 302
    assert timedelta(hours=8) == session.DESK_SESSION


def test_the_session_of_a_customer_goes_on(account: Account, owner: User, sign_in: SignIn) -> None:
    client = sign_in(owner)
    with time_machine.travel(clock.now() + timedelta(days=13)):
        assert client.get("/").status_code == 200


def test_what_has_ended_is_swept_up_daily() -> None:
    for number in range(3):
        remembering(note=number)
    at = clock.now()
    assert sweeps.named("sessions").run(at) == 0
    assert list(sweeps.named("sessions").preview(at + timedelta(days=15))) == ["3 sessions have ended"]
    assert sweeps.named("sessions").run(at + timedelta(days=15)) == 3
    assert not Session.objects.exists()
    assert list(sweeps.named("sessions").preview(at + timedelta(days=15))) == []


def test_everywhere_else_can_be_signed_out(owner: User, stranger: User, sign_in: SignIn) -> None:
    here, there, other = sign_in(owner), sign_in(owner), sign_in(stranger)
    assert session.end_all(owner, but=here.session.session_key) == 1
    assert here.get("/user/preferences/").status_code == 200
    assert there.get("/user/preferences/").status_code == 302
    assert other.get("/user/preferences/").status_code == 200


def test_the_page_says_where_somebody_is_signed_in(owner: User, stranger: User) -> None:
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    edge = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0"
    here, there = Client(headers={"user-agent": firefox}), Client(headers={"user-agent": edge})
    for client, person in ((here, owner), (there, owner), (Client(), stranger)):
        client.post("/auth/login/", {"login": person.email, "password": PASSWORD}, REMOTE_ADDR="192.0.2.7")
    page = here.get("/auth/sessions/").content.decode()
    assert page.count("192.0.2.7") == 2
    assert "Firefox, Linux" in page
    assert "Edge, Windows" in page
    assert page.count(">here<") == 1
    answer = here.post("/auth/sessions/", follow=True).content.decode()
    assert "You are signed out in one other place." in answer
    assert "Sign out everywhere else" not in answer
    assert there.get("/auth/sessions/")["Location"].startswith("/auth/login/")
    assert "You are signed in nowhere else." in here.post("/auth/sessions/", follow=True).content.decode()


def test_sessions_of_before_are_carried_over(owner: User, account: Account) -> None:
    """As Django kept them: keys as they are, contents signed and readable."""

    class Json:
        def dumps(self, data: object) -> bytes:
            return json.dumps(data).encode("latin-1")

        def loads(self, data: bytes) -> object:
            return json.loads(data.decode("latin-1"))

    user = User.objects.get(pk=owner.pk)
    remembered = {
        SESSION_KEY: str(user.pk),
        "_auth_user_backend": "allauth.account.auth_backends.AuthenticationBackend",
        "_auth_user_hash": user.get_session_auth_hash(),
    }
    packed = signing.dumps(remembered, salt="django.contrib.sessions.SessionStore", serializer=Json, compress=True)
    key = "a" * 32
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE django_session "
            "(session_key varchar(40) PRIMARY KEY, session_data text, expire_date timestamptz)"
        )
        cursor.execute("CREATE TABLE usersessions_usersession (session_key varchar(40))")
        cursor.execute("INSERT INTO usersessions_usersession VALUES (%s)", [key])
        for stored, data, days in ((key, packed, 5), ("unreadable", "?", 5), ("over", packed, -1)):
            cursor.execute(
                "INSERT INTO django_session VALUES (%s, %s, now() + make_interval(days => %s))", [stored, data, days]
            )

    migration = import_module("accounts.migrations.0010_sessions")
    with connection.schema_editor() as editor:
        migration.carry_over(apps, editor)

    client = Client()
    client.cookies["sessionid"] = key
    assert client.get("/").status_code == 200
    assert Session.objects.get().user == owner
    assert (Session.objects.get().expire_date - clock.now()).days in (4, 5)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('django_session'), to_regclass('usersessions_usersession')")
        assert cursor.fetchone() == (None, None)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_no_way_leads_past_the_hash_asynchronously_either() -> None:
    store = SessionStore()
    store["note"] = "one"
    async_to_sync(store.asave)()
    key = str(store.session_key)
    assert key not in dump()
    again = SessionStore(key)
    assert async_to_sync(again.aget)("note") == "one"
    assert async_to_sync(again.aexists)(key)
    async_to_sync(again.adelete)()
    assert not Session.objects.exists()
