"""What a purge does in the tables of libraries: sessions, and what the admin noted."""

from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import SESSION_KEY
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session

from accounts import personal_data
from accounts.models import Account, User
from tests.accounts.erasure.purging import erase_all
from tests.factories import BlueprintFactory

pytestmark = pytest.mark.django_db


def note(row: Any, by: User) -> LogEntry:
    return LogEntry.objects.create(
        user=by,
        content_type=ContentType.objects.get_for_model(type(row)),
        object_id=str(row.pk),
        object_repr=f"about {row}",
        action_flag=CHANGE,
        change_message="changed the name",
    )


def test_what_staff_noted_stays_without_names_and_texts(
    account: Account, owner: User, stranger: User, staff: User
) -> None:
    mine = [note(row, staff) for row in (account, owner, BlueprintFactory(account=account))]
    others = [note(row, staff) for row in (stranger.accounts.get(), stranger, BlueprintFactory(), staff)]
    # The same number in another table is another row.
    others.append(note(ContentType(pk=owner.pk, app_label="other", model="other"), staff))
    row = erase_all(account)
    for entry in [*mine, *others]:
        entry.refresh_from_db()
    assert [(entry.object_repr, entry.change_message) for entry in mine] == [("", "")] * 3
    assert all(entry.object_repr.startswith("about") and entry.change_message for entry in others)
    assert row.erased()["admin.LogEntry (texts about what the account owns)"] == 2
    assert row.erased()["admin.LogEntry (texts about people)"] == 1


def test_what_former_staff_did_goes_with_them(account: Account, owner: User) -> None:
    note(account, owner)
    erase_all(account)
    assert not LogEntry.objects.exists()


def untracked(user: User | None, texts: str = "") -> str:
    """A session that allauth does not know of."""
    session = SessionStore()
    if user:
        session[SESSION_KEY] = str(user.pk)
    session["note"] = texts
    session.save()
    return str(session.session_key)


def tracked(user: User) -> str:
    key = untracked(user)
    UserSession.objects.create(user=user, session_key=key, ip="192.0.2.1", user_agent="Browser")
    return key


def test_every_session_of_people_who_go_is_erased_and_no_other(
    account: Account, owner: User, member: User, stranger: User, monkeypatch: Any
) -> None:
    monkeypatch.setattr(personal_data, "SESSIONS", 2)
    for person in (owner, owner, member):
        tracked(person)
        untracked(person)
    Session.objects.create(session_key="unreadable", session_data="?", expire_date="2030-01-01T00:00:00Z")
    kept = {tracked(stranger), untracked(stranger), untracked(None, "anonymous"), "unreadable"}

    row = erase_all(account)

    assert set(Session.objects.values_list("session_key", flat=True)) == kept
    assert set(UserSession.objects.values_list("user", flat=True)) == {stranger.pk}
    assert row.erased()["usersessions.UserSession"] == 3
