"""The tables of this app, each defined in the module named for it."""

from marketplace.aws.agreement import Agreement
from marketplace.aws.dimension import Dimension
from marketplace.aws.registration import Registration
from marketplace.aws.sns_topics import TopicSubscription
from marketplace.delivery import Delivery, Outcome, Source
from marketplace.github.customer import Customer
from marketplace.github.listing import ListingPlan
from marketplace.github.rate_limits import Pause
from marketplace.github.repository_hooks import RepositoryHook
from marketplace.github.tokens import UserToken
from marketplace.offboarding.offboarding import Offboarding, Step, StepKind
from marketplace.refusal import Reason, Refusal
from marketplace.tombstone import Tombstone

__all__ = [
    "Agreement",
    "Customer",
    "Delivery",
    "Dimension",
    "ListingPlan",
    "Offboarding",
    "Outcome",
    "Pause",
    "Reason",
    "Refusal",
    "Registration",
    "RepositoryHook",
    "Source",
    "Step",
    "StepKind",
    "Tombstone",
    "TopicSubscription",
    "UserToken",
]
