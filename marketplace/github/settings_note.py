"""What Subscription Settings says about a GitHub customer."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from accounts.models import Account
from marketplace.github.customer import GitHubCustomer
from marketplace.github.purchases import marketplace_url
from marketplace.offboarding.offboarding import Offboarding, erased_from
from subscriptions.channels.settings_notes import Note
from subscriptions.models import Subscription


@dataclass(frozen=True)
class GitHubNote:
    customer: GitHubCustomer
    offboarding: Offboarding | None
    erased_from: datetime | None
    marketplace_url: str
    #: Whether something else holds the account, now or ahead: then a cancellation at GitHub does not end it.
    goes_on: bool
    #: What a cancellation will mean: Free first, or deactivation (`GITHUB_CANCELLATION`).
    downgrades: bool


def note_for(account: Account, at: datetime) -> Note | None:
    """A pending change, a new authorisation that is needed, or a downgrade whose deletion can be called off."""
    customer = GitHubCustomer.objects.select_related("listing_plan", "pending_plan").filter(account=account).first()
    if customer is None:
        return None
    offboarding = Offboarding.objects.open().of(account.pk).first()
    return Note(
        "marketplace/github_note.html",
        GitHubNote(
            customer,
            offboarding,
            erased_from(offboarding) if offboarding else None,
            marketplace_url(),
            Subscription.objects.of(account).holding(at).exclude(pk=customer.subscription_id or 0).exists(),
            settings.GITHUB_CANCELLATION == "downgrade",
        ),
    )
