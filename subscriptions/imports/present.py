"""What is here already of a few hundred rows: found by a handful of statements, not by some for each row."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from accounts.erasure.purge import Purge
from accounts.models import Account, Membership, Role, User
from subscriptions.imports.imported_row import Hashes, ImportedRow
from subscriptions.imports.shapes import Person, Row
from subscriptions.models import Subscription


@dataclass
class Known:
    """An account that is here, with whom and what it has."""

    id: uuid.UUID
    name: str
    roles: dict[int, str] = field(default_factory=dict)
    subscriptions: list[Subscription] = field(default_factory=list)
    is_deactivated: bool = False
    is_to_be_erased: bool = False


@dataclass(frozen=True)
class KnownPerson:
    id: int
    external_id: str | None


@dataclass
class Present:
    """What is here, by what rows call it. Whoever adds something says so here, too: the next row may be about it."""

    accounts: dict[str, Known] = field(default_factory=dict)
    people: dict[str, KnownPerson] = field(default_factory=dict)
    #: The address of the person of an external id, and the account of the subscription of one.
    addresses: dict[str, str] = field(default_factory=dict)
    subscriptions: dict[str, uuid.UUID] = field(default_factory=dict)
    #: Hashes of rows that have been imported: by customer, those of the contents.
    imported: dict[bytes, set[bytes]] = field(default_factory=dict)

    def add_account(self, external_id: str, known: Known) -> None:
        self.accounts[external_id] = known

    def add_person(self, email: str, known: KnownPerson) -> None:
        self.people[email] = known
        if known.external_id:
            self.addresses[known.external_id] = email

    def add_subscription(self, known: Known, subscription: Subscription) -> None:
        known.subscriptions.append(subscription)
        if subscription.external_id:
            self.subscriptions[subscription.external_id] = known.id

    def person(self, told: Person) -> KnownPerson | None:
        return self.people.get(told.email)


def present(rows: Sequence[Row], hashes: Hashes) -> Present:
    """What is here of these rows."""
    found = Present()
    customers = [hashes.customer(row) for row in rows]
    for customer, content in ImportedRow.objects.filter(customer__in=customers).values_list("customer", "content"):
        found.imported.setdefault(bytes(customer), set()).add(bytes(content))
    people = [person for row in rows for person in row.people()]
    _find_people(found, people)
    _find_accounts(found, [row.external_id for row in rows])
    told = [row.subscription.external_id for row in rows if row.subscription and row.subscription.external_id]
    taken = Subscription.objects.filter(external_id__in=told).values_list("external_id", "account_id")
    found.subscriptions.update((external_id, account_id) for external_id, account_id in taken if external_id)
    return found


def _find_people(found: Present, people: Iterable[Person]) -> None:
    addresses = {person.email for person in people}
    external_ids = {person.external_id for person in people if person.external_id}
    columns = ("pk", "email", "external_id")
    rows = {
        *User.objects.filter(email__in=addresses).values_list(*columns),
        *(User.objects.filter(external_id__in=external_ids).values_list(*columns) if external_ids else ()),
    }
    for pk, email, external_id in rows:
        found.add_person(email, KnownPerson(pk, external_id))


def _find_accounts(found: Present, external_ids: Sequence[str]) -> None:
    by_id: dict[uuid.UUID, Known] = {}
    for account in Account.objects.filter(external_id__in=external_ids):
        known = Known(
            account.pk,
            account.name,
            is_deactivated=account.deactivated_at is not None,
            is_to_be_erased=account.purging_at is not None,
        )
        by_id[account.pk] = known
        found.add_account(str(account.external_id), known)
    if not by_id:
        return
    for place in Membership.objects.filter(account__in=by_id):
        by_id[place.account_id].roles[place.user_id] = place.role
    for subscription in Subscription.objects.filter(account__in=by_id).real():
        found.add_subscription(by_id[subscription.account_id], subscription)
    for account_id in Purge.objects.open().filter(account_id__in=by_id).values_list("account_id", flat=True):
        by_id[account_id].is_to_be_erased = True


def owner_of(known: Known) -> int | None:
    return next((user_id for user_id, role in known.roles.items() if role == Role.OWNER), None)
