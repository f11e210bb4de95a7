"""Whatever is typed as it is written, or pasted as it was copied, finds its account; and each search uses an index."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from accounts.customers.history import Actor
from accounts.desk.account_page.search import find
from accounts.models import Account, Membership, Role, User
from accounts.support.requests import RequestKind, ask
from subscriptions import contracts
from subscriptions.ending.cancellation import cancel
from subscriptions.models import Plan
from tests.factories import NOW, AccountFactory, UserFactory, subscribe

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]

#: Names of companies, teams and people as they are written.
NAMES = (
    "x.ai",
    "Kanal.com",
    "jane.doe",
    "harbour-2",
    "L’Orangé",
    "L'Orangé",
    "Kiel 24/7",
    "José",
    "Jose\u0301 Muñoz",
    "Ångström & Söhne GmbH & Co. KG",
    "Straße 9",
    "Øresund Łódź",
    "7e5",
    "1e10 Labs",
    "node.js/deno",
    "foo@bar",
    "user@host.example",
    "http://example.org/path?x=1",
    "a_b-c.d",
    "C++",
    "++",
    "!!!",
    "株式会社リコー",
    "Ελλάδα ΑΕ",
    "ООО «Ромашка»",
    "شركة المثال",
    "हिन्दी कंपनी",
    "삼성전자",
    "Team 🚀",
    "🚀",
    "The Who",
    "and/or",
    "O'Reilly",
    "100%",
    "<b>bold</b>",
    "a:b & c|d !e (f)",
    "back\\slash",
    "-5",
    "3.14",
    "2026-03-17",
    "v1.2.3-rc.4",
    "  Blanks   inside ",
    "ﬁnance",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_typed_as_it_is_written_is_found(name: str, account: Account) -> None:
    named = AccountFactory(name=name.strip())
    assert find(name)[0] == named.pk
    assert find(name.upper()) == find(name.lower())
    assert named.pk in find(name.lower())


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Jose", "José"),
        ("josé", "JOSE"),
        ("Jose\u0301", "José"),
        ("José", "Jose\u0301"),
        ("strasse", "Straße"),
        ("Straße", "STRASSE"),
        ("lodz", "Łódź"),
        ("orange", "L’Orangé"),
        ("l'orange", "L’Orangé"),
        ("kiel24", "Kiel24/7"),
        ("finance", "ﬁnance"),
        ("ｆｕｌｌ", "full width"),
        ("blau\u200bhimmel", "Blauhimmel"),
    ],
)
def test_accents_and_ways_of_writing_a_letter_do_not_matter(typed: str, name: str, account: Account) -> None:
    named = AccountFactory(name=name)
    assert find(typed) == [named.pk]


@pytest.mark.parametrize(
    "pasted",
    [
        "owner@example.org",
        " Owner@Example.ORG ",
        "Olga Owner <owner@example.org>",
        '"Owner, Olga" <owner@example.org>',
        "<owner@example.org>",
        "mailto:owner@example.org",
        "owner@example.org.",
        "owner@example.org,",
        "owner@exam",
        "\u202aowner@example.org\u202c",
        "owner",
        "Olga Owner",
        "olga",
        "owner olga",
        "{request}",
        "#{request}",
        "{request_plain}",
        "{request_spaced}",
        "{request}.",
        "ord-2026/0042",
        "#ORD-2026/0042",
        "ORD 2026 0042",
        "ord20260042",
        "{cancellation_plain}",
        "{account}",
        "{account_plain}",
        "https://support.example/admin/accounts/account/{account}/change/",
    ],
)
def test_what_is_pasted_as_it_was_copied_is_found(pasted: str, account: Account, owner: User, agent: User) -> None:
    AccountFactory(name="Elsewhere")
    staff = Actor.staff(agent)
    cancellation, _new = cancel(subscribe(account), by=Actor.owner(owner), at=NOW)
    cancellation.subscription.refresh_from_db()
    ends_at = cancellation.effective_at
    contracts.enter(
        account,
        plan=Plan.objects.get(code="pro"),
        starts_at=ends_at,
        ends_at=ends_at.replace(year=2027),
        seats=1,
        order_reference="ORD-2026/0042",
        by=staff,
        at=NOW,
    )
    made, _new = ask(account, kind=RequestKind.OTHER, message="Hello", by=Actor.owner(owner), at=NOW)
    typed = pasted.format(
        account=account.pk,
        account_plain=account.pk.hex,
        request=made.reference,
        request_plain=made.reference.replace("-", "").lower(),
        request_spaced=made.reference.replace("-", " "),
        cancellation_plain=cancellation.reference.replace("-", ""),
    )
    assert find(typed) == [account.pk], typed


def test_an_address_is_found_in_the_letters_of_its_country(account: Account) -> None:
    person = UserFactory(email="ida@xn--bcher-kva.example")
    Membership.objects.create(account=account, user=person, role=Role.USER)
    assert find("ida@bücher.example") == find("IDA@BÜCHER.example") == [account.pk]


def test_just_this_name_comes_first_and_is_found_among_any_number(account: Account) -> None:
    exact = AccountFactory(name="A")
    for number in range(60):
        AccountFactory(name=f"A {number}")
    assert find("A")[0] == exact.pk
    assert len(find("A")) == 50


def test_a_changed_name_is_found_and_the_old_one_is_not(account: Account) -> None:
    account.name = "Lagoon"
    account.save()
    assert find("lagoon") == [account.pk]
    assert find("harbour") == []


def test_a_search_asks_each_question_once(account: Account, agent: User, sign_in: SignIn) -> None:
    AccountFactory(name="Harbour Two")
    client = sign_in(agent)
    client.get("/admin/accounts/account/", {"q": "harbour"})
    with CaptureQueriesContext(connection) as captured:
        assert client.get("/admin/accounts/account/", {"q": "harbour"}).status_code == 200
    asked = [query["sql"] for query in captured if "::tsquery" in query["sql"] and "accounts_account" in query["sql"]]
    assert len(asked) == 1


SEARCHED = [model for model, found in admin.site._registry.items() if getattr(found, "found_by", ())]


@pytest.mark.parametrize("model", SEARCHED, ids=lambda model: model.__name__)
@pytest.mark.parametrize("text", ["harbour", "REQ-7K3M-9QPT", "1234-5678-9012", "octo-ferries", "owner@example.org"])
def test_no_list_reads_its_whole_table_to_search(model: Any, text: str, account: Account, agent: User) -> None:
    """With sequential reading made as dear as it gets, none is planned: every way of finding has its index."""
    found = admin.site._registry[model]
    request = RequestFactory().get("/", {"q": text})
    request.user = agent
    with CaptureQueriesContext(connection) as captured:
        rows, _distinct = found.get_search_results(request, model._default_manager.order_by("pk"), text)
        list(rows)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for query in captured:
            sql = query["sql"]
            if not sql.startswith("SELECT") or "::tsquery" in sql:
                continue
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "Seq Scan on" not in plan, plan


def test_names_that_were_taken_as_they_came_are_carried_over(account: Account, owner: User) -> None:
    from importlib import import_module

    from django.apps import apps

    with connection.cursor() as cursor:
        # As the tables were before, with what could be in them.
        cursor.execute("ALTER TABLE accounts_account DROP CONSTRAINT account_name_is_one_line")
        cursor.execute("ALTER TABLE accounts_user DROP CONSTRAINT user_name_is_one_line")
        cursor.execute("UPDATE accounts_account SET name = E'Blau\\rHimmel\\x1b Jose\\u0301', words = ''")
        cursor.execute("UPDATE accounts_user SET name = E' Olga\\x0b\\x0bOwner', words = ''")
    import_module("accounts.migrations.0009_search_and_names").carry_over(apps, None)
    account.refresh_from_db()
    owner.refresh_from_db()
    assert (account.name, account.words) == ("Blau Himmel José", "blau himmel jose")
    assert (owner.name, owner.words) == ("Olga Owner", "olga owner")


def test_ends_that_no_calendar_can_tell_are_carried_over(account: Account) -> None:
    from importlib import import_module

    from django.apps import apps

    contract = subscribe(account, ends_at=NOW.replace(year=2027), order_reference="Ord-2026/7")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            "ALTER TABLE subscriptions_subscription DROP CONSTRAINT subscription_ends_in_a_year_that_can_be_meant"
        )
        cursor.execute(
            "UPDATE subscriptions_subscription SET order_key = '', ends_at = '9999-12-31 23:59:59Z',"
            " next_reminder_at = '9999-12-01 00:00:00Z'"
        )
    import_module("subscriptions.migrations.0008_search_and_names").carry_over(apps, None)
    contract.refresh_from_db()
    assert (contract.order_key, str(contract.ends_at)) == ("ORD20267", "2099-12-31 23:59:59+00:00")
    assert str(contract.next_reminder_at) == "2099-12-01 23:59:59+00:00"
