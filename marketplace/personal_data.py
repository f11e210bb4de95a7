"""What this app holds about customers, and what a purge does with it. Declared in `marketplace.extension`."""

import uuid
from datetime import datetime

from allauth.socialaccount.models import SocialAccount
from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast
from django.utils.translation import gettext_lazy as _

from accounts.erasure.inventory import Erased, Kept, Order, Scrubbed
from accounts.erasure.people import DepartingPerson
from accounts.inbox.delivery import Delivery
from accounts.personal_data import DELIVERY_EMPTIED, NOTHING_PERSONAL, unlinked
from marketplace import tombstone
from marketplace.aws.agreement import AwsAgreement
from marketplace.aws.messages import EVENTS, SNS
from marketplace.aws.registration import Registration
from marketplace.github.customer import GitHubCustomer
from marketplace.github.messages import SOURCE as GITHUB
from marketplace.github.repository_hooks import RepositoryHook
from marketplace.github.tokens import UserToken
from marketplace.offboarding.offboarding import OffboardingStep
from marketplace.tombstone import Marketplace


def deliveries(account_id: uuid.UUID) -> "QuerySet[Delivery]":
    """What a marketplace told us about the account, by its own name for it, and not emptied yet.

    What was processed for the account says so itself (`accounts.personal_data`).
    """
    known_as = GitHubCustomer.objects.filter(account_id=account_id).values_list(
        Cast("github_id", CharField(max_length=60)), flat=True
    )
    at_github = Q(source=GITHUB.name, external_account__in=known_as)
    # A delivery with an account is that account's. Before a registration there is only what AWS calls the purchase.
    at_aws = Q(source__in=(SNS.name, EVENTS.name), account_id=None, external_account__in=_known_at_aws(account_id))
    return Delivery.objects.with_texts().filter(at_github | at_aws)


def naming_the_account(account_id: uuid.UUID) -> "QuerySet[Delivery]":
    """Bodies that name the account at GitHub, though they are about something else or could not be read."""
    known_as = GitHubCustomer.objects.filter(account_id=account_id).values_list("github_id", flat=True)
    bodies = Delivery.objects.filter(source=GITHUB.name, body__isnull=False)
    return bodies.filter(named__overlap=[str(known) for known in known_as])


def naming_people(account_id: uuid.UUID) -> "QuerySet[Delivery]":
    """Bodies that name people who belong to no other account: as the one who clicked, say."""
    going = DepartingPerson.objects.of(account_id).belonging_to_none().values("user_id")
    at_github = SocialAccount.objects.filter(user__in=going, provider="github").values_list("uid", flat=True)
    tokens = UserToken.objects.filter(user__in=going).values_list("github_user_id", flat=True)
    known_as = {*at_github, *(str(known) for known in tokens)}
    bodies = Delivery.objects.filter(source=GITHUB.name, body__isnull=False)
    return bodies.filter(named__overlap=sorted(known_as))


def _known_at_aws(account_id: uuid.UUID) -> list[str]:
    """What AWS calls this account's purchases. Names that another account's purchase has too are not among them."""
    ours, shared = set[str](), set[str]()
    for agreement in AwsAgreement.objects.filter(account_id=account_id):
        ours |= {*agreement.ids(), *agreement.former_ids}
        shared |= {agreement.customer_identifier, agreement.aws_account_id} - {""}
    others = AwsAgreement.objects.filter(account__isnull=False).exclude(account_id=account_id)
    for name in ("customer_identifier", "aws_account_id"):
        shared -= set(others.filter(**{f"{name}__in": shared}).values_list(name, flat=True))
    return sorted(ours | shared)


def agreements(account_id: uuid.UUID) -> "QuerySet[AwsAgreement]":
    return AwsAgreement.objects.filter(account_id=account_id)


def registrations(account_id: uuid.UUID) -> "QuerySet[Registration]":
    return Registration.objects.filter(account_id=account_id)


def step_remarks(account_id: uuid.UUID) -> "QuerySet[OffboardingStep]":
    """Remarks name repositories and logins."""
    return OffboardingStep.objects.filter(offboarding__account_id=account_id).exclude(remark="", last_error="")


def hooks(account_id: uuid.UUID) -> "QuerySet[RepositoryHook]":
    return RepositoryHook.objects.filter(account_id=account_id)


def customers(account_id: uuid.UUID) -> "QuerySet[GitHubCustomer]":
    return GitHubCustomer.objects.filter(account_id=account_id)


def tokens(account_id: uuid.UUID) -> "QuerySet[UserToken]":
    """Those of the people who belong to no other account."""
    going = DepartingPerson.objects.of(account_id).belonging_to_none()
    return UserToken.objects.filter(user_id__in=going.values("user_id"))


def leave_tombstones(account_id: uuid.UUID, at: datetime) -> int:
    """Write down what a marketplace goes on with though the account is erased: two people decided so. How many."""
    at_github = GitHubCustomer.objects.active().filter(account_id=account_id)
    for customer in at_github:
        tombstone.leave(Marketplace.GITHUB, customer.github_id, account_id=account_id, at=at)
    at_aws = [row.ids()[0] for row in AwsAgreement.objects.running().filter(account_id=account_id) if row.ids()]
    for known in at_aws:
        tombstone.leave(Marketplace.AWS, known, account_id=account_id, at=at)
    return len(at_github) + len(at_aws)


PERSONAL_DATA = (
    Scrubbed(
        "accounts.Delivery",
        Order.CONTENT,
        deliveries,
        values=DELIVERY_EMPTIED,
        part="by the marketplace's name",
        held_by_workers=True,
    ),
    Scrubbed(
        "accounts.Delivery",
        Order.CONTENT,
        naming_the_account,
        values={"body": None, "named": None},
        part="naming the account",
        held_by_workers=True,
    ),
    Scrubbed(
        "accounts.Delivery",
        Order.CONTENT,
        naming_people,
        values={"body": None, "named": None},
        part="naming people who go",
        held_by_workers=True,
    ),
    Scrubbed("marketplace.OffboardingStep", Order.CONTENT, step_remarks, values={"remark": "", "last_error": ""}),
    Erased("marketplace.RepositoryHook", Order.CONTENT, hooks),
    Erased("marketplace.GitHubCustomer", Order.CONTENT, customers),
    Erased("marketplace.AwsAgreement", Order.CONTENT, agreements),
    Erased("marketplace.Registration", Order.CONTENT, registrations),
    unlinked("marketplace.Registration", "used_by"),
    Erased("marketplace.UserToken", Order.PERSONAL, tokens),
    Kept(
        "marketplace.Tombstone",
        _("A keyed digest of a purchase that the marketplace goes on with, as long as it does."),
        ground=_("Legitimate interest in having the purchase ended there, GDPR art. 6(1)(f)"),
    ),
    Kept("marketplace.Dimension", NOTHING_PERSONAL),
    Kept("marketplace.ListingPlan", _("The catalogue at GitHub; nothing about a person.")),
    Kept(
        "marketplace.Offboarding",
        _("Shows that the obligation was met: ids and dates only."),
        ground=_("Accountability, GDPR art. 5(2)"),
    ),
    Kept("marketplace.TopicSubscription", _("Our own subscriptions to AWS's topics; nothing about a person.")),
    Kept("marketplace.RateLimitPause", _("Digests of credentials, for rate limits; they name nobody.")),
)
