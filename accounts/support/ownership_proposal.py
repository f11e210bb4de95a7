"""An owner hands the account over themselves: offered to a member, and done once that member accepts.

Both prove that it is them (`accounts.signing_in.fresh_proof`): a browser left open gives no account away, nor takes
one. Until the offer is accepted the owner is the owner and can take it back; it expires after seven days. What is
about to happen to the account (a cancellation, a deletion, a refund) stands on the page before the button, and the
button does nothing if that is not so any more. Support hands over by `accounts.support.ownership` alone, without an
offer.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Self

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.core.write_guard import BeingErased, refused_while_erasing
from accounts.customers import history
from accounts.customers.account import Account, Role
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.user import User
from accounts.mail import notices
from accounts.signing_in.addresses import is_proven
from accounts.support import ownership
from accounts.support.ownership import CannotTakeOver, NotProven

VALID_FOR = timedelta(days=7)


class NotOffered(Refused):
    """The offer is none any more: taken back, declined, expired, or of somebody who owns the account no more."""

    text = _("This is not offered to you, or not any more.")


class NotTheirs(Refused):
    """Who offers is not the owner any more."""

    text = _("Only the owner of the account can hand it over.")


class NoMember(Refused):
    text = _("Only a member of this account can take it over. Invite them first.")


class OwnershipProposalQuerySet(models.QuerySet["OwnershipProposal"]):
    def unanswered(self) -> Self:
        return self.filter(accepted_at=None, closed_at=None)

    def open(self, at: datetime) -> Self:
        """Those that can be accepted: not expired, and of whoever owns the account now."""
        return self.unanswered().filter(
            expires_at__gt=at,
            account__memberships__user=models.F("proposed_by"),
            account__memberships__role=Role.OWNER,
        )


class OwnershipProposal(models.Model):
    """One account offered to one member by its owner. Erased with the account."""

    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="ownership_proposals", verbose_name=_("account")
    )
    proposed_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", verbose_name=_("offered by"))
    new_owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", verbose_name=_("new owner"))
    #: Whether the old owner remains as an administrator; else they leave.
    stays = models.BooleanField(_("stays"))
    proposed_at = models.DateTimeField(_("offered"))
    expires_at = models.DateTimeField(_("expires"))
    accepted_at = models.DateTimeField(_("accepted"), null=True, blank=True)
    #: Taken back, declined, or replaced by another one.
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)

    objects = OwnershipProposalQuerySet.as_manager()

    class Meta:
        verbose_name = _("offer of ownership")
        verbose_name_plural = _("offers of ownership")
        constraints = [
            models.UniqueConstraint(
                fields=["account"],
                condition=models.Q(accepted_at=None, closed_at=None),
                name="ownership_proposal_one_open",
            ),
            models.CheckConstraint(
                condition=~models.Q(new_owner=models.F("proposed_by")), name="ownership_proposal_to_another"
            ),
            models.CheckConstraint(
                condition=models.Q(accepted_at=None) | models.Q(closed_at=None), name="ownership_proposal_ends_once"
            ),
        ]
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return str(self.pk)


def standing_offer(account: Account, at: datetime) -> OwnershipProposal | None:
    """The offer that can be accepted at `at`."""
    return OwnershipProposal.objects.open(at).filter(account=account).select_related("proposed_by", "new_owner").first()


def pending(account: Account, at: datetime) -> Mapping[str, object]:
    """What is about to happen to the account, as facts: the same that the mail to the new owner tells."""
    facts: dict[str, object] = {}
    for told in ownership.PENDING.all():
        facts |= told(account, at)
    return facts


def propose(account: Account, *, to: User, stays: bool, by: User, at: datetime) -> tuple[OwnershipProposal, bool]:
    """Offer the account to a member, who is told by mail. Returns the offer, and whether it is new.

    The same offer again, while it stands, changes nothing; another one takes its place. Raises `NotTheirs`, `NoMember`,
    `CannotTakeOver`, `NotProven` and `BeingErased`.
    """
    with transaction.atomic():
        account = _locked(account, by)
        if to.pk == by.pk or not account.memberships.filter(user=to).exists():
            raise NoMember
        if not to.is_active or to.is_staff:
            raise CannotTakeOver(who=to)
        if not is_proven(to):
            raise NotProven
        offer = standing_offer(account, at)
        if offer and offer.new_owner_id == to.pk and offer.stays == stays:
            return offer, False
        # An expired one, and one of a former owner, are in the way, too.
        OwnershipProposal.objects.unanswered().filter(account=account).update(closed_at=at)
        offer = OwnershipProposal.objects.create(
            account=account, proposed_by=by, new_owner=to, stays=stays, proposed_at=at, expires_at=at + VALID_FOR
        )
        history.record(account.pk, AccountEvent.OWNERSHIP_OFFERED, at=at, by=Actor.owner(by), person=to.pk, stays=stays)
        notices.queue(
            "accounts/ownership_offered",
            to=[to],
            account=account,
            occasion=f"ownership-offer:{offer.pk}",
            at=at,
            stays=stays,
            expires_at=offer.expires_at,
        )
    return offer, True


def accept(offer: OwnershipProposal, *, by: User, at: datetime) -> None:
    """Become the owner. Both are told by mail. Raises `NotOffered`, `CannotTakeOver`, `NotProven`, `BeingErased`."""
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=offer.account_id)
        found = OwnershipProposal.objects.open(at).filter(pk=offer.pk, new_owner=by).select_related("account").first()
        if found is None or not found.account.memberships.filter(user=by).exists():
            raise NotOffered
        ownership.hand_over(found.account, to=by, stays=found.stays, by=Actor.member(by), at=at, offered=True)
        OwnershipProposal.objects.filter(pk=found.pk).update(accepted_at=at)


def decline(offer: OwnershipProposal, *, by: User, at: datetime) -> None:
    """Leave the account with its owner, who is told by mail. Raises `NotOffered` and `BeingErased`."""
    with transaction.atomic():
        account = Account.objects.select_for_update(no_key=True).get(pk=offer.account_id)
        if account.purging_at:
            raise BeingErased(account.pk)
        if not OwnershipProposal.objects.unanswered().filter(pk=offer.pk, new_owner=by).update(closed_at=at):
            raise NotOffered
        history.record(account.pk, AccountEvent.OWNERSHIP_DECLINED, at=at, by=Actor.member(by))
        notices.queue(
            "accounts/ownership_declined",
            to=[account.owner()],
            account=account,
            occasion=f"ownership-offer:{offer.pk}:declined",
            at=at,
        )


def take_back(account: Account, *, by: User, at: datetime) -> bool:
    """The owner keeps the account after all. Returns whether there was an offer. Raises `NotTheirs`, `BeingErased`."""
    with transaction.atomic():
        account = _locked(account, by)
        changed = OwnershipProposal.objects.unanswered().filter(account=account).update(closed_at=at)
        if changed:
            history.record(account.pk, AccountEvent.OWNERSHIP_TAKEN_BACK, at=at, by=Actor.owner(by))
    return bool(changed)


def void_for(account: Account, user: User, *, by: Actor, at: datetime) -> None:
    """In the caller's transaction: this person is no member any more, so nothing is offered to them."""
    if OwnershipProposal.objects.unanswered().filter(account=account, new_owner=user).update(closed_at=at):
        history.record(account.pk, AccountEvent.OWNERSHIP_TAKEN_BACK, at=at, by=by)


def _locked(account: Account, owner: User) -> Account:
    account = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    if account.purging_at:
        raise BeingErased(account.pk)
    if not account.memberships.filter(user=owner, role=Role.OWNER).exists():
        raise NotTheirs
    return account
