"""Linking people to what they, or their organisations, have bought at GitHub.

The only proof is GitHub's answer to the person's own token (`GET /user/marketplace_purchases`); plan and installation
ids in the query of the setup page are hints that anybody can invent, and are not even read.
"""

import logging
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.customers import history
from accounts.customers.history import Actor
from accounts.events.event_types import Place
from accounts.models import Account, Membership, Role
from marketplace import tombstone
from marketplace.event_kinds import MarketplaceEvent
from marketplace.github import client
from marketplace.github.customer import GitHubCustomer
from marketplace.github.payloads import ListedPurchase, UnreadablePayload, read_subscription
from marketplace.github.purchases import hold, lock_customer
from marketplace.github.tokens import UserToken
from marketplace.tombstone import Marketplace

log = logging.getLogger(__name__)


def link_purchases(token: UserToken, *, at: datetime) -> list[Account]:
    """Make the person a member of every account whose purchase GitHub shows them. Returns those accounts.

    The first one in becomes the owner, later ones administrators. Asks GitHub; raises `ApiError`, nothing changed. A
    purchase that can't be linked holds up no other: it is noted on its customer, and raised only if none could be.
    """
    accounts, errors = [], []
    for item in list(client.purchases_of_user(token.text(), at=at)):
        try:
            accounts.append(_link(read_subscription(item)[0], token, at))
        except Exception as error:
            # Whatever is wrong with one purchase holds up no other; staff see it on the item.
            log.exception("a purchase of token %s could not be linked", token.pk)
            _note(item, error, at)
            errors.append(error)
    if errors and not accounts:
        raise errors[0]
    return accounts


def link_newcomer(token: UserToken, *, at: datetime) -> list[Account]:
    """At a sign-in: somebody without an account may have bought before they ever came here. Never fails a sign-in.

    Who has an account already is not asked about: the page after a purchase does that.
    """
    if token.user.memberships.exists():
        return []
    try:
        return link_purchases(token, at=at)
    except Exception as error:
        # Whatever it was must not keep anybody from signing in; the page after a purchase asks again.
        log.warning("purchases of token %s at sign-in: %s", token.pk, type(error).__name__)
        return []


def _note(item: dict[str, Any], error: Exception, at: datetime) -> None:
    """Have the customer say what went wrong, if it is one that we know."""
    try:
        customer = GitHubCustomer.objects.filter(github_id=read_subscription(item)[0].buyer.id).first()
    except UnreadablePayload:
        return
    if customer:
        customer.fail(error, at)


@transaction.atomic
def _link(purchase: ListedPurchase, token: UserToken, at: datetime) -> Account:
    customer = lock_customer(purchase.buyer.id)
    if customer is None or (customer.cancelled_at and not customer.may_be_stale(at)):
        # Bought, and the webhook is late or lost: GitHub's own answer is as good.
        tombstone.lift(Marketplace.GITHUB, purchase.buyer.id)
        customer = hold(purchase, customer, heard=False, at=at)
        customer.ask(at)
        customer.save()
    if customer.authorisation_needed_at:
        GitHubCustomer.objects.filter(pk=customer.pk).update(authorisation_needed_at=None)
    account = Account.objects.select_for_update(no_key=True).get(pk=customer.account_id)
    has_owner = account.memberships.filter(role=Role.OWNER).exists()
    membership, new = Membership.objects.get_or_create(
        account=account,
        user=token.user,
        defaults={"role": Role.ADMIN if has_owner else Role.OWNER, "joined_at": at},
    )
    if new:
        by = Actor.member(token.user) if has_owner else Actor.owner(token.user)
        place = Place.of(token.user, membership.role)
        history.record(account.pk, MarketplaceEvent.GITHUB_LINKED, at=at, by=by, subject=place, person=token.user_id)
    return account
