"""The people that most tests need: an owner, colleagues, and a stranger, so that a permission test is one line."""

import gc
import os
from collections.abc import Callable, Iterator

import hypothesis
import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connection
from django.test import Client, override_settings

from accounts.core import roles
from accounts.jobs import opening, surroundings
from accounts.models import Account, Membership, Role, User
from accounts.views.health import readiness
from tests import databases
from tests.factories import AccountFactory, UserFactory

# `make test` tries a few; `HYPOTHESIS_PROFILE=thorough make test` takes its time.
hypothesis.settings.register_profile("default", max_examples=30, deadline=None, print_blob=True)
hypothesis.settings.register_profile("thorough", max_examples=2000, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


# A fifth of the time went to looking for garbage among what stays until the end: modules, models, tests. None is looked
# for while they are loaded, nor among them afterwards, and among the rest less often.
gc.disable()
#: So many objects, younger generations: see `gc.set_threshold`.
GARBAGE = (50_000, 20, 50)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)
    gc.enable()


#: What the migrations put into the database (plans, prices, the installation's id): restored after a test has flushed.
_migrated: list[str] = []


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """pytest-django's: our database is a copy of what the migrations make."""
    connection.settings_dict["TEST"]["TEMPLATE"] = databases.original()


@pytest.fixture(scope="session", autouse=True)
def what_migrations_made(django_db_setup: None) -> None:
    _migrated.append(getattr(connection, "_test_serialized_contents", "[]"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that flushes the database without restoring it would break whichever test comes after it."""
    for item in items:
        mark = item.get_closest_marker("django_db")
        if mark and mark.kwargs.get("transaction") and not mark.kwargs.get("serialized_rollback"):
            raise pytest.UsageError(f"{item.nodeid}: transaction=True needs serialized_rollback=True beside it")
    # What takes long begins first, so that at the end nobody waits for one test. What flushes the database stays last.
    items.sort(key=lambda item: not _takes_long(item))


def _takes_long(item: pytest.Item) -> bool:
    mark = item.get_closest_marker("django_db")
    flushes = mark is not None and mark.kwargs.get("transaction", False)
    return not flushes and any(item.get_closest_marker(name) for name in ("stack", "slow"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Django keeps it on the connection, and opens another one while Playwright has an event loop in this thread."""
    if _migrated and item.get_closest_marker("django_db") and not hasattr(connection, "_test_serialized_contents"):
        setattr(connection, "_test_serialized_contents", _migrated[0])  # noqa: B010  # not an attribute to mypy


@pytest.fixture(scope="session", autouse=True)
def plain_static_files() -> Iterator[None]:
    """Static files under their own names: no need to collect and hash them first."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    with override_settings(STORAGES={**settings.STORAGES, "staticfiles": plain}):
        yield


@pytest.fixture(autouse=True)
def nothing_counted_yet() -> None:
    """Attempts that another test made, and mails that it asked for, count against nobody here."""
    cache.clear()


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """A real hash takes a fifth of a second by intention, and nothing here depends on how strong it is."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(autouse=True)
def nothing_known_of_readiness() -> None:
    """What `/readyz/` said in another test is not said again; and the database is open, until a test closes it."""
    readiness.forget()
    opening.known.remember_open()


@pytest.fixture(autouse=True)
def the_clock_is_the_tests() -> Iterator[None]:
    """Tests travel in time, the database does not. Tests of its clock ask for it."""
    with surroundings.REGISTRY.without("clock"):
        yield


@pytest.fixture
def owner(db: None) -> User:
    return UserFactory(email="owner@example.org", name="Olga Owner")


@pytest.fixture
def account(owner: User) -> Account:
    return AccountFactory(name="Harbour", owner=owner)


@pytest.fixture
def admin(account: Account) -> User:
    return _member(account, Role.ADMIN, "admin@example.org")


@pytest.fixture
def member(account: Account) -> User:
    return _member(account, Role.USER, "member@example.org")


@pytest.fixture
def stranger(db: None) -> User:
    """The owner of another account."""
    user: User = UserFactory(email="stranger@example.net")
    AccountFactory(name="Elsewhere", owner=user)
    return user


@pytest.fixture
def staff(db: None) -> User:
    return UserFactory(email="staff@example.com", is_staff=True, is_superuser=True)


@pytest.fixture
def agent(db: None) -> User:
    return _at_the_desk("agent@example.com", roles.AGENT)


@pytest.fixture
def lead(db: None) -> User:
    return _at_the_desk("lead@example.com", roles.LEAD)


@pytest.fixture
def other_lead(db: None) -> User:
    return _at_the_desk("other-lead@example.com", roles.LEAD)


@pytest.fixture
def sign_in() -> Callable[[User | None], Client]:
    """A browser in which this person is signed in; nobody for None."""

    def sign_in(user: User | None) -> Client:
        client = Client()
        if user:
            client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return client

    return sign_in


def _at_the_desk(email: str, role: str) -> User:
    user: User = UserFactory(email=email, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


def _member(account: Account, role: Role, email: str) -> User:
    user: User = UserFactory(email=email)
    Membership.objects.create(account=account, user=user, role=role)
    return user
