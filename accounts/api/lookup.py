"""Finding what a call is about: the row, or the answer that there is none, or none any more."""

import uuid

from accounts.api import problems
from accounts.api.problems import Problem
from accounts.core import foreign_input
from accounts.core.write_guard import BeingErased
from accounts.customers.account import Account, Membership
from accounts.erasure.purge import Purge


def account_of(account_id: uuid.UUID) -> Account:
    """The account, to be read. Raises 404 for one that never was, 410 for one that is being erased, or has been."""
    account = Account.objects.filter(pk=account_id).first()
    if account is None or account.purging_at:
        raise gone_or_unknown(account_id)
    return account


def locked_account(account_id: uuid.UUID) -> Account:
    """The same, locked until the transaction ends."""
    try:
        return Account.objects.locked(account_id)
    except BeingErased:
        raise gone_or_unknown(account_id) from None


def gone_or_unknown(account_id: uuid.UUID) -> Problem:
    """What to say of an account that is not there to be told of."""
    erased = Purge.objects.of(account_id).filter(started_at__isnull=False).exists()
    return Problem(problems.ERASED if erased else problems.NOT_FOUND)


def place_of(account: Account, external_id: str) -> Membership:
    """The place of the person with this external id. Raises 404."""
    known = foreign_input.external_id_or_nothing(external_id)
    place = account.memberships.select_related("user").filter(user__external_id=known).first() if known else None
    if place is None:
        raise Problem(problems.NOT_FOUND)
    return place
