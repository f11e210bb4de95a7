"""Handing an account over to a new owner.

Whoever takes over has a sign-in of their own already; the old owner stays as an administrator, or leaves. Both are
told. Support does it at once, on grounds that it notes; an owner offers it, and the new one accepts
(`accounts.support.ownership_proposal`).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.core.registry import Registry, function_name
from accounts.core.write_guard import BeingErased
from accounts.customers import history
from accounts.customers.account import Account, Membership, Role
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.user import User
from accounts.erasure.purge import Purge
from accounts.events.event_types import HandedOver
from accounts.mail import notices
from accounts.signing_in.addresses import is_proven
from accounts.support.requests import RequestKind

#: What is about to happen to an account, as facts for the mail to whoever takes it over.
Pending = Callable[[Account, datetime], "Mapping[str, object]"]
PENDING: Registry[Pending] = Registry(key=function_name)


class CannotTakeOver(Refused):
    text = _("%(who)s can't take over: staff, and people who may not sign in, don't own accounts.")


class NotProven(Refused):
    text = _("Nobody has proven yet that this address is theirs. Ask the new owner to sign in first.")


def hand_over(
    account: Account,
    *,
    to: User,
    stays: bool,
    by: Actor,
    at: datetime,
    identity: Sequence[str] = (),
    offered: bool = False,
) -> bool:
    """Make `to` the owner. `stays`: the old owner remains as an administrator, else leaves the account.

    `identity`: which facts staff compared (`accounts.support.identity.proven`), for the history. `offered`: the old
    owner offered it and the new one accepted; else the old owner's mail says that support did it. Returns whether
    anything changed: who owns it already stays its owner. The new owner's mail says what is about to happen to the
    account: it is theirs to decide about now. Raises `CannotTakeOver`, `NotProven` and `BeingErased`.
    """
    with transaction.atomic():
        account = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if account.purging_at:
            raise BeingErased(account.pk)
        if not to.is_active or to.is_staff:
            raise CannotTakeOver(who=to)
        if not is_proven(to):
            raise NotProven
        places = {place.user_id: place for place in account.memberships.select_for_update(no_key=True)}
        old = next((place for place in places.values() if place.is_owner), None)
        if old and old.user_id == to.pk:
            return False
        # First one owner less, then one more: the database allows two at no moment, and none only until the commit.
        if old:
            old.role = Role.ADMIN
            old.save(update_fields=["role"])
        new = places.get(to.pk) or Membership(account=account, user=to, joined_at=at)
        new.role = Role.OWNER
        new.save()
        if old and not stays:
            old.delete()
        history.record(
            account.pk,
            AccountEvent.OWNERSHIP_HANDED_OVER,
            at=at,
            by=by,
            subject=HandedOver(to, old.user if old else None),
            owner=to.pk,
            owner_before=old.user_id if old else None,
            stays=stays,
            identity=list(identity),
        )
        pending: dict[str, object] = {}
        for told in PENDING.all():
            pending |= told(account, at)
        for person in {to, old.user if old else to}:
            is_new_owner = person.pk == to.pk
            notices.queue(
                "accounts/ownership_handed_over",
                to=[person],
                account=account,
                occasion=f"ownership:{account.pk}:{at:%Y%m%dT%H%M%S%f}",
                at=at,
                is_new_owner=is_new_owner,
                stays=stays,
                offered=offered,
                **(pending if is_new_owner else {}),
            )
    return True


def refund_pending(account: Account, at: datetime) -> dict[str, object]:
    """That a refund was asked for, and waits."""
    asked = account.requests.open().filter(kind=RequestKind.REFUND).first()
    return {"refund_reference": asked.reference} if asked else {}


def deletion_pending(account: Account, at: datetime) -> dict[str, object]:
    """That the account is to be erased, or that its deletion was asked for."""
    if purge := Purge.objects.of(account.pk).open().first():
        return {"erased_at": purge.due_at}
    asked = account.requests.open().filter(kind=RequestKind.DELETION).first()
    return {"deletion_reference": asked.reference} if asked else {}
