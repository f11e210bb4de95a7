"""Opening an account, and knowing its people again: whoever tells us of them, by a call, a file or a command.

A person is known by the vendor's own id, else by their mail address. What they have said of themselves since (their
name, their language) is theirs: whoever tells us of them again changes none of it.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.customers import history
from accounts.customers.account import Account, Membership, Role
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.user import User


class OtherPerson(Refused):
    """The id is that of somebody with another address."""

    text = _("Somebody with another address has this external id.")


class OwnerAddressTaken(Refused):
    """The address is that of somebody with another id."""

    text = _("Somebody with another external id signs in by this address.")


class NoCustomer(Refused):
    text = _("Staff, and people who may not sign in, are no customers.")


@dataclass(frozen=True)
class NewPerson:
    """Somebody as they are told: every text is canonical (`accounts.core.foreign_input`)."""

    external_id: str
    email: str
    name: str = ""
    language: str = ""
    time_zone: str = "UTC"


def known_or_new(person: NewPerson, *, at: datetime) -> tuple[User, bool]:
    """The person who is meant, and whether they are new here, in the caller's transaction.

    Whoever signs in by the address already, and has no external id, has this one from now on. A new person has no
    password: they make one by "Forgot your password?", which proves their address. Raises `OtherPerson`,
    `OwnerAddressTaken`, `NoCustomer`.
    """
    people = User.objects.select_for_update(no_key=True)
    if known := people.filter(external_id=person.external_id).first():
        if known.email != person.email:
            raise OtherPerson
    elif known := people.filter(email=person.email).first():
        if known.external_id is not None:
            raise OwnerAddressTaken
        known.external_id = person.external_id
        known.save(update_fields=["external_id"])
    if known:
        if known.is_staff or not known.is_active:
            raise NoCustomer
        return known, False
    new = User.objects.create_user(
        person.email,
        name=person.name,
        external_id=person.external_id,
        language=person.language,
        time_zone=person.time_zone,
        joined_at=at,
    )
    return new, True


def open_account(name: str, *, owner: User, by: Actor, at: datetime, external_id: str | None = None) -> Account:
    """An account with its owner. Raises `IntegrityError` for an external id that another one has."""
    with transaction.atomic():
        account = Account.objects.create(name=name, external_id=external_id, created_at=at)
        Membership.objects.create(account=account, user=owner, role=Role.OWNER, joined_at=at)
        history.record(account.pk, AccountEvent.ACCOUNT_OPENED, at=at, by=by, subject=owner, owner=owner.pk)
    return account


def change_account(account: Account, *, by: Actor, at: datetime, **values: str) -> bool:
    """Give an account another name or external id. Returns whether anything differed. History names fields alone.

    The caller has locked it. Raises `IntegrityError` for an external id that another one has.
    """
    changed = sorted(name for name, value in values.items() if getattr(account, name) != value)
    if not changed:
        return False
    for name in changed:
        setattr(account, name, values[name])
    account.save(update_fields=changed)
    history.record(account.pk, AccountEvent.ACCOUNT_CHANGED, at=at, by=by, changed=changed)
    return True
