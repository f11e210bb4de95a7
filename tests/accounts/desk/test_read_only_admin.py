"""The desk's lists answer to the filters that they show, and to nothing else that an address could ask."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib import admin
from django.contrib.admin import EmptyFieldListFilter
from django.db.models import Field
from django.test import Client, RequestFactory
from django.utils.html import escape

from accounts.desk.read_only_admin import ReadOnlyAdmin
from accounts.models import Account, User

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]

LISTS = {model._meta.label: found for model, found in admin.site._registry.items() if isinstance(found, ReadOnlyAdmin)}


def columns() -> Iterator[tuple[str, str]]:
    """Every column of every model that has a list, as a list and the column's name."""
    for label, found in LISTS.items():
        for field in found.model._meta.get_fields():
            if isinstance(field, Field):
                yield label, field.name


def url_of(label: str) -> str:
    app, model = label.lower().split(".")
    return f"/admin/{app}/{model}/"


def test_an_agent_can_not_read_password_hashes_letter_by_letter(agent: User, owner: User, sign_in: SignIn) -> None:
    client = sign_in(agent)
    for lookup in ("startswith", "regex", "contains", "gt", "exact", "in", "isnull", "range"):
        response = client.get("/admin/accounts/user/", {f"password__{lookup}": owner.password[:20]})
        assert response.status_code == 400, lookup


def test_nor_the_one_time_key_of_a_registration(agent: User, sign_in: SignIn) -> None:
    assert sign_in(agent).get("/admin/marketplace/registration/", {"key__startswith": "a"}).status_code == 400


@pytest.mark.parametrize(("label", "column"), list(columns()))
def test_no_column_can_be_asked_about_from_the_address(
    label: str, column: str, rf: RequestFactory, agent: User
) -> None:
    request = rf.get("/")
    request.user = agent
    for lookup in ("startswith", "regex", "iregex", "contains", "gt", "lt", "in", "range", "length", "pk__regex"):
        assert not LISTS[label].lookup_allowed(f"{column}__{lookup}", "x", request)
    filters = {name[0] if isinstance(name, tuple) else name for name in LISTS[label].list_filter}
    if column not in filters:
        for lookup in ("", "__exact", "__isnull", "__isempty"):
            assert not LISTS[label].lookup_allowed(f"{column}{lookup}", "x", request)


def test_neither_can_what_lies_behind_a_relation(agent: User, account: Account, sign_in: SignIn) -> None:
    client = sign_in(agent)
    for path in (
        "/admin/accounts/notice/?recipient__password__startswith=pbkdf2",
        "/admin/accounts/supportrequest/?made_by__password__regex=.",
        "/admin/accounts/account/?memberships__user__password__startswith=p",
        "/admin/marketplace/usertoken/?user__password__gt=a",
        "/admin/subscriptions/subscription/?account__memberships__user__email__startswith=a",
    ):
        assert client.get(path).status_code == 400, path


@pytest.mark.parametrize("label", sorted(LISTS))
def test_every_filter_that_a_list_shows_works(label: str, agent: User, account: Account, sign_in: SignIn) -> None:
    client = sign_in(agent)
    page = client.get(url_of(label))
    changelist = (page.context_data or {})["cl"]
    asked = 0
    for shown in changelist.filter_specs:
        for choice in shown.choices(changelist):
            answer = client.get(url_of(label) + choice["query_string"])
            assert answer.status_code == 200, f"{label} {choice['query_string']} {escape(choice['display'])}"
            asked += 1
    assert asked or not LISTS[label].list_filter or not changelist.filter_specs


def test_a_filter_by_being_empty_asks_about_nothing_else(rf: RequestFactory, agent: User) -> None:
    request = rf.get("/")
    request.user = agent
    notices = LISTS["accounts.Notice"]
    assert ("sent_at", EmptyFieldListFilter) in notices.list_filter
    assert notices.lookup_allowed("sent_at__isempty", "1", request)
    assert not notices.lookup_allowed("sent_at__gt", "2026-01-01", request)


def test_every_list_that_staff_can_open_is_one_of_these(agent: User, lead: User, rf: RequestFactory) -> None:
    for person in (agent, lead):
        request = rf.get("/")
        request.user = person
        opened = [model for model, found in admin.site._registry.items() if found.has_view_permission(request)]
        assert len(opened) > 20
        assert [model for model in opened if not isinstance(admin.site._registry[model], ReadOnlyAdmin)] == []


@pytest.mark.parametrize("page", ["change", "delete", "history"])
def test_an_address_that_names_no_field_finds_a_row_by_its_key(page: str, account: Account, staff: User) -> None:
    client = Client()
    client.force_login(staff, backend="allauth.account.auth_backends.AuthenticationBackend")
    for field in ("", "id", "nothing", "\u00e9"):
        answer = client.get(f"/admin/accounts/user/{staff.pk}/{page}/", {"_to_field": field})
        assert answer.status_code in (200, 302, 400, 403, 404), (page, field)
