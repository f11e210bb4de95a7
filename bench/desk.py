"""desk: server time of every list and page of the support desk, with a million accounts.

At full scale there are a million accounts, each with an owner, a subscription and history, as many deliveries as
accounts, and requests, purges, staff actions and mails in proportion. Asked for are the first page of every list,
each choice of every filter of it, its second page, searches by whatever an account is found by, an account's own
page, and the desk's first page. Measured is the time of a request in milliseconds, in one thread through Django's test
client, middleware and templates included, the network not: the median of a few calls, after one that fills caches.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import LiteralString
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.core import roles
from accounts.models import Account, Delivery, Membership, Purge, StaffAction, SupportRequest, User
from bench import filling
from bench.measuring import Goal, Result, Row, Samples, median_seconds, require
from bench.stage import Stage, say
from subscriptions.models import Cancellation

#: No list may take longer, with a million accounts.
AT_MOST_MS = 300.0
DATABASE = "desk"
APPS = ("accounts", "subscriptions", "marketplace")
CALLS, WARM_UP = 3, 1
#: How many of the slowest are shown one by one.
SHOWN = 12

MODELS: tuple[type[Model], ...] = (Delivery, SupportRequest, Purge, StaffAction)
STATEMENTS: tuple[LiteralString, ...] = (
    """
    INSERT INTO marketplace_delivery
           (source, delivery_id, event, digest, received_at, action, account_id, processed_at, outcome)
    SELECT 'github', 'delivery-' || row_number() OVER (), 'marketplace_purchase', sha256(id::text::bytea),
           created_at, 'purchased', id, created_at, 'applied'
      FROM accounts_account
    """,
    """
    INSERT INTO accounts_supportrequest
           (reference, account_id, kind, message, identity, made_by_id, made_at, due_at, closed_at, outcome)
    SELECT 'REQ-' || n, account_id, 'other', 'Where are my receipts?', '{}', user_id, joined_at,
           joined_at + interval '3 days', CASE WHEN n % 100 > 0 THEN joined_at + interval '1 day' END,
           CASE WHEN n % 100 > 0 THEN 'answered' ELSE '' END
      FROM (SELECT row_number() OVER () AS n, * FROM accounts_membership) AS place WHERE n % 5 = 0
    """,
    """
    INSERT INTO accounts_purge
           (account_id, cause, received_at, due_at, deadline_at, next_attempt_at, started_at, finished_at,
            verified_at, progress, kept)
    SELECT id, 'customer_request', created_at, created_at, created_at + interval '30 days', created_at,
           CASE WHEN n % 100 > 0 THEN created_at END, CASE WHEN n % 100 > 0 THEN created_at END,
           CASE WHEN n % 100 > 0 THEN created_at END, '{}', '{}'
      FROM (SELECT row_number() OVER () AS n, * FROM accounts_account) AS account WHERE n % 10 = 0
    """,
    """
    INSERT INTO accounts_deed (account_id, act, target, reason, by_id, at)
    SELECT account_id, 'cancel', 'subscriptions.subscription:' || n, 'Case ' || n, 1, joined_at
      FROM (SELECT row_number() OVER () AS n, * FROM accounts_membership) AS place WHERE n % 10 = 0
    """,
)


@dataclass(frozen=True)
class Page:
    name: str
    address: str


def run(stage: Stage) -> Result:
    """Ask for everything that the desk has, and show what is slowest."""
    scale = stage.scale
    stage.copy(filling.filled(stage, subscriptions=scale.subscriptions, ending=scale.ending), DATABASE)
    say("desk: filling in deliveries, requests, purges …")
    with stage.connect(DATABASE) as bare:
        filling.insert(bare, MODELS, STATEMENTS)
    stage.use(DATABASE)
    lead = _lead()
    client = Client()
    client.force_login(lead, backend=settings.AUTHENTICATION_BACKENDS[0])
    pages = [*_pages(lead)]
    say(f"desk: {len(pages)} pages …")
    taken = {page: median_seconds(partial(_ask, client, page), calls=CALLS, warm_up=WARM_UP) * 1000 for page in pages}
    slowest = sorted(taken, key=lambda page: taken[page], reverse=True)
    result = Result(facts={"accounts": Account.objects.count(), "pages": len(pages)})
    result.rows.append(Row("all pages", "ms", Samples(tuple(taken.values()))))
    result.rows += [Row(page.name, "ms", Samples((taken[page],))) for page in slowest[:SHOWN]]
    result.goals.append(Goal("the slowest of all, ms", taken[slowest[0]], at_most=AT_MOST_MS))
    stage.drop(DATABASE)
    return result


def _lead() -> User:
    lead = User.objects.create(email="lead@bench.example", name="Lena Lead", password="!", is_staff=True)  # noqa: S106
    lead.groups.add(Group.objects.get(name=roles.LEAD))
    return lead


def _ask(client: Client, page: Page) -> None:
    status = client.get(page.address).status_code
    require(status in (200, 302), f"{page.address} answered {status}")


def _pages(lead: User) -> Iterator[Page]:
    yield Page("first page", reverse("admin:index"))
    for model in admin.site._registry:
        if model._meta.app_label in APPS:
            yield from _list(lead, model)
    yield from _searches()
    for account in Account.objects.order_by("pk")[:3]:
        yield Page("an account", reverse("admin:accounts_account_change", args=[account.pk]))


def _list(lead: User, model: type[Model]) -> Iterator[Page]:
    """A list, its second page, and every choice of each of its filters."""
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    name = f"list of {model._meta.verbose_name_plural}"
    yield Page(name, address)
    request = RequestFactory().get(address)
    request.user = lead
    shown = admin.site._registry[model].get_changelist_instance(request)
    if shown.multi_page:
        yield Page(f"{name}, page 2", f"{address}?p=2")
    for spec in shown.filter_specs:
        for choice in spec.choices(shown):
            chosen = str(choice["query_string"])
            if chosen.strip("?"):
                yield Page(f"{name}, {spec.title}: {choice['display']}", address + chosen)


def _searches() -> Iterator[Page]:
    """By whatever an account is found by, and by words that are in every name, and in none."""
    account = Account.objects.order_by("-pk")[0]
    owner = Membership.objects.filter(account=account).select_related("user")[0].user
    cancellation = Cancellation.objects.order_by("-pk")[0]
    texts = {
        "an id": str(account.pk),
        "a name": account.name,
        "the beginning of every name": "Account",
        "no name": "nowhere",
        "an address": owner.email,
        "the beginning of every address": "owner@",
        "the beginning of an address": f"{owner.email[:-3]}",
        "a reference": cancellation.reference,
        "a delivery": "delivery-77",
        "a number": "77",
    }
    address = reverse("admin:accounts_account_changelist")
    for name, text in texts.items():
        yield Page(f"search for {name}", f"{address}?{urlencode({'q': text})}")
