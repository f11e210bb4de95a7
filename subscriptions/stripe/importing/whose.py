"""Whose account a customer at Stripe is, and how surely that is known."""

import uuid
from collections.abc import Sequence
from enum import IntEnum

from accounts.models import Account, Membership, Role
from subscriptions.stripe.customer import StripeCustomer
from subscriptions.stripe.importing.spool import Told


class Way(IntEnum):
    """How we know whose a customer is, the surest first."""

    LINK = 0
    METADATA = 1
    ADDRESS = 2


#: Of two customers of one account, the one that something runs for is meant.
NOTHING_RUNS = 10


def whose(some: Sequence[Told]) -> dict[str, tuple[uuid.UUID | None, int]]:
    """Whose these customers are, each with how we know it: None for one who may be several's; nobody's are left out."""
    names = {told.account: _uuid(told.account) for told in some if told.account}
    by_link = dict(
        StripeCustomer.objects.filter(reference__in=[told.customer for told in some]).values_list(
            "reference", "account_id"
        )
    )
    open_ones = Account.objects.filter(purging_at=None)
    by_id = set(open_ones.filter(pk__in=[id for id in names.values() if id]).values_list("pk", flat=True))
    by_external_id = dict(
        open_ones.filter(external_id__in=[name for name, id in names.items() if not id]).values_list(
            "external_id", "pk"
        )
    )
    by_address = _owned_by([told.email for told in some if told.email and not told.account])
    found: dict[str, tuple[uuid.UUID | None, int]] = {}
    for told in some:
        behind = NOTHING_RUNS if told.all_over else 0
        if account := by_link.get(told.customer):
            found[told.customer] = (account, Way.LINK)
        elif told.account:
            # Who says whose it is, and is mistaken, is nobody's: the address would only be a guess.
            id = names[told.account]
            if account := (id if id in by_id else by_external_id.get(told.account)):
                found[told.customer] = (account, Way.METADATA + behind)
        elif accounts := by_address.get(told.email):
            found[told.customer] = (accounts[0] if len(accounts) == 1 else None, Way.ADDRESS + behind)
    return found


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _owned_by(emails: Sequence[str]) -> dict[str, list[uuid.UUID]]:
    """The accounts whose owners have these addresses."""
    found: dict[str, list[uuid.UUID]] = {}
    owners = Membership.objects.filter(role=Role.OWNER, user__email__in=emails, account__purging_at=None)
    for email, account_id in owners.values_list("user__email", "account_id").distinct():
        found.setdefault(email, []).append(account_id)
    return found
