"""What tests of purges are made of: an account of which every table, every file and every session holds something."""

import itertools
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import models

from accounts.blueprints.models import Blueprint
from accounts.customers.history import Actor
from accounts.erasure import inventory, scheduling, starting
from accounts.erasure.inventory import Erased, Order, Scrubbed
from accounts.erasure.obligation import PurgeCause
from accounts.erasure.runner import take_turn
from accounts.models import (
    Account,
    Dispatch,
    Endpoint,
    Event,
    EventMessage,
    Membership,
    Notice,
    OwnershipProposal,
    Purge,
    User,
)
from subscriptions.billing.wish import Outcome, Wish
from subscriptions.models import ForgettingStep, InvoicePayment, Refund, StripeCustomer, Subscription
from subscriptions.stripe.forgetting import plan_to_forget
from tests.factories import NOW, UserFactory, subscribe

HOUR, MONTH = timedelta(hours=1), timedelta(days=30)
_numbers = itertools.count(1)


def oblige(account: Account, *, due_at: datetime = NOW, **changes: Any) -> Purge:
    """A purge of this account that may start at `due_at`."""
    options: dict[str, Any] = {
        "cause": PurgeCause.MARKETPLACE_CANCELLATION,
        "received_at": NOW,
        "deadline_at": NOW + MONTH,
        "at": NOW,
        "by": Actor.system(),
        **changes,
    }
    return scheduling.schedule(account, due_at=due_at, **options)


def start_due(at: datetime) -> int:
    """Start every purge that is due at `at` and need not wait, and do no more. How many were started."""
    due = list(Purge.objects.due(at).filter(started_at=None))
    return sum(starting.start(purge, at=at) for purge in due)


def erase_all(account: Account, at: datetime = NOW) -> Purge:
    """Oblige, start, erase, verify."""
    row = oblige(account)
    assert take_turn(row, at), Purge.objects.get(pk=row.pk).last_error
    row.refresh_from_db()
    return row


def erased_events(account_id: uuid.UUID) -> int:
    return Event.objects.filter(account_id=account_id, kind="purge.verified").count()


def fill(account: Account, person: User, marker: str) -> None:
    """Give the account, and this person in it, a row in every table of the inventory, the marker in every text."""
    fill_account(account, person, marker)
    fill_person(account, person, marker)


def fill_account(account: Account, person: User, marker: str) -> None:
    """Give the account a row in every table that is the account's, and files."""
    subscription = subscribe(account, at=NOW - MONTH, ends_at=NOW)
    assert isinstance(subscription, Subscription)
    _fill(account, person, marker, {Order.CONTENT, Order.PLACES, Order.ACCOUNT})
    _mark(account, marker)
    for blueprint in Blueprint.objects.filter(account=account):
        blueprint.thumbnail.save("thumbnail.svg", ContentFile(marker.encode()))
    default_storage.save(f"thumbnails/{account.pk}/forgotten/{marker}.svg", ContentFile(marker.encode()))
    # Stripe's part is told apart (tests/subscriptions/stripe/test_forgetting.py): here it has been done.
    plan_to_forget(account.pk, NOW)
    ForgettingStep.objects.before_erasing(account.pk).update(done_at=NOW)


def fill_person(account: Account, person: User, marker: str) -> None:
    """Give the person a row in every table that is about people, the account in front of them."""
    _fill(account, person, marker, {Order.PERSONAL, Order.PEOPLE})
    _mark(person, marker)


def _fill(account: Account, person: User, marker: str, orders: set[Order]) -> None:
    filled = {Account, User, Subscription, Membership}
    for store in inventory.stores():
        model = apps.get_model(store.model)
        if isinstance(store, Erased) and model not in filled and store.find(account.pk).exists():
            # A child has brought its parent along.
            filled.add(model)
        if isinstance(store, Erased | Scrubbed) and model not in filled:
            filled.add(model)
            if store.order in orders:
                only = set(store.values) if isinstance(store, Scrubbed) else None
                _row(model, account, person, marker, only).save(force_insert=True)


def _mark(row: Account | User, marker: str) -> None:
    for field in _texts(type(row)):
        setattr(row, field.name, _text(field, marker))
    row.save()


def _row(model: type[Any], account: Account, person: User, marker: str, only: set[str] | None) -> Any:
    row = model()
    for field in model._meta.concrete_fields:
        if field.is_relation:
            goes = field.db_constraint or field.remote_field.on_delete is models.CASCADE
            ours = issubclass(field.related_model, Account | User) and goes
            if not field.null or ours:
                setattr(row, field.name, _related(field.related_model, account, person, marker))
        elif field.name == "account_id":
            row.account_id = account.pk
        elif isinstance(field, models.BinaryField):
            setattr(row, field.name, (marker if only is None or field.name in only else "plain").encode())
        elif isinstance(field, models.DateTimeField) and not field.null:
            setattr(row, field.name, NOW + HOUR if field.name in LATER else NOW)
        elif isinstance(field, models.IntegerField) and not isinstance(field, models.AutoField) and not field.null:
            setattr(row, field.name, next(_numbers))
        elif isinstance(field, models.BooleanField) and not field.null:
            setattr(row, field.name, False)
        elif isinstance(field, models.GenericIPAddressField):
            setattr(row, field.name, "192.0.2.1")
    if isinstance(row, OwnershipProposal):
        # To somebody else than who proposes it.
        row.proposed_by = UserFactory()
    for field in _texts(model):
        setattr(
            row, field.name, _text(field, marker if only is None or field.name in only else f"plain{next(_numbers)}")
        )
    if isinstance(row, InvoicePayment):
        row.refunded_cents = 0
    if isinstance(row, Refund):
        row.failure = ""
        row.proposed_by = person
    if isinstance(row, Wish):
        # Agreed to: an erasing waits for one that is open.
        row.sent_version, row.wanted_end_at, row.agreed_at, row.outcome = 0, NOW, NOW, Outcome.AGREED
    if isinstance(row, StripeCustomer):
        # Kept beyond the erasing: by it Stripe's invoices are found.
        row.reference = f"cus_{next(_numbers)}"
    if isinstance(row, Dispatch):
        # Of a message of theirs: one without is a test, and about nobody.
        row.message = _related(EventMessage, account, person, marker)
    if isinstance(row, Endpoint):
        row.previous_secret = None
    if isinstance(row, Notice):
        # To a person, and so to no address of nobody's.
        row.address = ""
    return row


#: Instants that come after the others in their rows.
LATER = {"effective_at", "deadline_at", "until", "expire_date", "expires_at"}


def _related(model: type[Any], account: Account, person: User, marker: str) -> Any:
    """The account, the person, or any row of theirs in that table; else a new one."""
    if issubclass(model, Account | User):
        return account if issubclass(model, Account) else person
    found = [row for store in inventory.stores() if isinstance(store, Erased) and store.model == model._meta.label
             for row in store.find(account.pk)]  # fmt: skip
    if found:
        return found[0]
    own: dict[str, Any] = {f.name: person for f in model._meta.fields if f.is_relation and f.related_model is User}
    own |= {f.name: account.pk for f in model._meta.fields if f.name == "account_id"}
    own |= {f.name: account for f in model._meta.fields if f.is_relation and f.related_model is Account}
    # Another account's is none of theirs: a payment belongs to an invoice that is filled in after it.
    erased = model._meta.label in inventory.erased_models()
    row = model._default_manager.filter(**own).last() if own or not erased else None
    if row is None:
        # What is kept holds nothing about a person: no marker there.
        row = _row(model, account, person, marker, None if erased else set())
        row.save()
    return row


def _texts(model: type[Any]) -> list[Any]:
    kinds = (models.CharField, models.TextField, models.JSONField)
    fields = [f for f in model._meta.concrete_fields if isinstance(f, kinds) and not isinstance(f, models.FileField)]
    return [f for f in fields if not f.is_relation]


def _text(field: Any, marker: str) -> Any:
    if field.choices:
        # The first role is the owner's, whom nobody invites.
        return "" if field.blank else field.choices[-1 if field.name == "role" else 0][0]
    if isinstance(field, models.JSONField):
        return [{marker: [marker]}]
    if isinstance(field, models.EmailField) or field.name == "email":
        return f"{marker}-{next(_numbers)}@{marker}.example"
    text = f"{marker}-{next(_numbers)}" if field.unique or field.name == "uid" else marker
    return text[: field.max_length] if field.max_length else text


def files() -> list[str]:
    """All files in the storage."""

    def below(folder: str) -> list[str]:
        try:
            folders, names = default_storage.listdir(folder)
        except FileNotFoundError:
            return []
        deeper = [file for name in folders for file in below(f"{folder}/{name}".lstrip("/"))]
        return [f"{folder}/{name}".lstrip("/") for name in names] + deeper

    return below("")


class Flaky:
    """A store outside the database that can be broken."""

    def __init__(self, holds: int = 3) -> None:
        self.holds = holds
        self.broken_for: set[uuid.UUID] = set()

    def erase(self, account_id: uuid.UUID) -> int:
        if account_id in self.broken_for:
            raise ConnectionError("the search index does not answer")
        erased, self.holds = self.holds, 0
        return erased

    def count(self, account_id: uuid.UUID) -> int:
        return self.holds
