"""Places: who belongs to an account, in which role. Each change locks the account, and is a line of its history.

The owner's place is handed over (`accounts.support.ownership`), never given or taken away here.
"""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.customers import history
from accounts.customers.account import Account, Membership, Role
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.user import User


class OwnerStays(Refused):
    """An account that has members has an owner."""

    text = _("The owner's place is handed over, not taken away.")


def put_in(account: Account, user: User, role: Role, *, by: Actor, at: datetime) -> bool:
    """Give somebody a place in an account, or another role there. Returns whether they had none before.

    The same role again changes nothing. Raises `OwnerStays` for the owner, and for anybody who is to be one, and
    `BeingErased`.
    """
    if role == Role.OWNER:
        raise OwnerStays
    with transaction.atomic():
        Account.objects.locked(account.pk)
        place = account.memberships.select_for_update(no_key=True).filter(user=user).first()
        if place is None:
            Membership.objects.create(account=account, user=user, role=role, joined_at=at)
            history.record(account.pk, AccountEvent.MEMBER_ADDED, at=at, by=by, person=user.pk, role=str(role))
            return True
        if place.is_owner:
            raise OwnerStays
        if place.role != role:
            before, place.role = place.role, role
            place.save(update_fields=["role"])
            history.record(
                account.pk,
                AccountEvent.MEMBER_ROLE_CHANGED,
                at=at,
                by=by,
                person=user.pk,
                role=str(role),
                role_before=str(before),
            )
    return False


def take_out(account: Account, user: User, *, by: Actor, at: datetime) -> bool:
    """Take somebody's place in an account away; what they made there stays. Returns whether they had one.

    Raises `OwnerStays`, `BeingErased`.
    """
    with transaction.atomic():
        Account.objects.locked(account.pk)
        place = account.memberships.select_for_update(no_key=True).filter(user=user).first()
        if place is None:
            return False
        if place.is_owner:
            raise OwnerStays
        place.delete()
        history.record(account.pk, AccountEvent.MEMBER_REMOVED, at=at, by=by, person=user.pk, role=str(place.role))
    return True
