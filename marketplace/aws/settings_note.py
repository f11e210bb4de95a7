"""What Subscription Settings says about a purchase at AWS Marketplace, and which way a refund takes."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import Account
from accounts.support.requests import RequestKind
from accounts.support.routing import Route
from marketplace.aws.agreement import AwsAgreement
from subscriptions.billing.in_the_way import HELD
from subscriptions.channels.settings_notes import Note
from subscriptions.ending.account_deletion import CANCEL_THERE_FIRST
from subscriptions.models import Channel, Subscription

REFUND = Route(
    "aws_marketplace",
    _(
        "This account is billed by AWS Marketplace, so a refund is paid by AWS: within 48 hours of the purchase of a "
        "public contract AWS Customer Service cancels it and pays back in full; everything else you ask us for here, "
        "and we have AWS pay it back. Cancelling in your AWS account stops further charges, but pays nothing back."
    ),
    "https://docs.aws.amazon.com/marketplace/latest/buyerguide/cancel-subscription.html",
    _("What AWS says about refunds"),
)


@dataclass(frozen=True)
class AwsNote:
    """`agreement` is None for a subscription that was written down without one."""

    agreement: AwsAgreement | None
    #: Whether there is anything to cancel at AWS.
    is_live: bool
    #: Whether AWS itself still cancels a contract with a full refund.
    may_change_its_mind: bool
    #: A contract that begins on a later day.
    begins_later: bool


def note_for(account: Account, at: datetime) -> Note | None:
    """The state at AWS, and what its buyer can do there (facts/aws-marketplace, 2.9)."""
    agreement = (
        AwsAgreement.objects.filter(account=account)
        .select_related("dimension")
        .order_by("-registered_at", "-pk")
        .first()
    )
    live = Subscription.objects.of(account).live(at).filter(channel=Channel.AWS_MARKETPLACE).exists()
    if agreement is None and not live:
        return None
    begins_later = bool(agreement and agreement.runs and agreement.starts_at and agreement.starts_at > at)
    about = AwsNote(
        agreement,
        is_live=live,
        may_change_its_mind=bool(agreement and agreement.may_change_its_mind(at)),
        begins_later=begins_later,
    )
    return Note("marketplace/aws_note.html", about)


def obstacle_to_deletion(account: Account, at: datetime) -> "Promise | None":
    """What the owner must do before the account can be deleted: AWS bills it, or will, as far as it has said."""
    return (
        CANCEL_THERE_FIRST[Channel.AWS_MARKETPLACE]
        if AwsAgreement.objects.holding().filter(account=account).exists()
        else None
    )


def obstacle_to_buying(account: Account, at: datetime) -> "Promise | None":
    """What holds the account beside its subscriptions: an agreement that AWS has still to confirm, or goes on with."""
    return HELD[Channel.AWS_MARKETPLACE] if AwsAgreement.objects.holding().filter(account=account).exists() else None


def refund_route(account: Account, kind: str, at: datetime) -> Route | None:
    """Refunds of what AWS bills, or has billed last, take AWS's way."""
    if kind != RequestKind.REFUND:
        return None
    newest = Subscription.objects.of(account).real().filter(started_at__lte=at).order_by("-started_at", "-pk").first()
    return REFUND if newest and newest.channel == Channel.AWS_MARKETPLACE else None
