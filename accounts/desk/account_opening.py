"""Opening an account for a customer: by a command, or by a support lead. Its owner is mailed a way in."""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.core.write_guard import BeingErased
from accounts.customers import opening
from accounts.customers.account import Account
from accounts.customers.history import Actor
from accounts.customers.opening import NoCustomer
from accounts.customers.user import User
from accounts.erasure.people import DepartingPerson
from accounts.mail.account_opened import tell_owner


class OtherOwner(Refused):
    text = _(
        "Another account has the external id “%(external_id)s”: %(account)s, of another owner. Ownership is handed "
        "over at the desk."
    )


def open_for(name: str, email: str, *, by: Actor, at: datetime, external_id: str | None = None) -> tuple[Account, bool]:
    """An account of this name, whose owner signs in by this address; both canonical. Returns it, and whether it is new.

    Who is new here is created. The owner is told in the same transaction; whoever has no way in yet is mailed one. The
    same external id for the same owner is the same account, whatever it is called by now. Raises `OtherOwner`,
    `NoCustomer` (staff own no accounts), and `BeingErased`.
    """
    try:
        with transaction.atomic():
            if known := _known(external_id, email):
                return known, False
            owner = _owner(email, at)
            account = opening.open_account(name, owner=owner, by=by, at=at, external_id=external_id or None)
            tell_owner(account, owner, at=at)
    except IntegrityError:
        # Somebody else was quicker, with the same id or the same person; it stands now.
        if known := _known(external_id, email):
            return known, False
        raise
    return account, True


def _known(external_id: str | None, email: str) -> Account | None:
    account = Account.objects.filter(external_id=external_id).first() if external_id else None
    if account is None:
        return None
    if account.purging_at:
        raise BeingErased(account.pk)
    owner = account.owner()
    if owner is None or owner.email != email:
        raise OtherOwner(external_id=external_id, account=account.pk)
    return account


def _owner(email: str, at: datetime) -> User:
    known = User.objects.select_for_update(no_key=True).filter(email=email).first()
    if known is None:
        return User.objects.create_user(email, joined_at=at)
    if known.is_staff or not known.is_active or DepartingPerson.objects.filter(user_id=known.pk).exists():
        raise NoCustomer
    return known
