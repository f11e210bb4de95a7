"""The tables of this app, each defined in the module named for it."""

from marketplace.aws.agreement import AwsAgreement
from marketplace.aws.dimension import Dimension
from marketplace.aws.registration import Registration
from marketplace.aws.sns_topics import TopicSubscription
from marketplace.github.customer import GitHubCustomer
from marketplace.github.listing import ListingPlan
from marketplace.github.rate_limits import RateLimitPause
from marketplace.github.repository_hooks import RepositoryHook
from marketplace.github.tokens import UserToken
from marketplace.offboarding.offboarding import Offboarding, OffboardingStep, StepKind
from marketplace.tombstone import Tombstone

__all__ = [
    "AwsAgreement",
    "Dimension",
    "GitHubCustomer",
    "ListingPlan",
    "Offboarding",
    "OffboardingStep",
    "RateLimitPause",
    "Registration",
    "RepositoryHook",
    "StepKind",
    "Tombstone",
    "TopicSubscription",
    "UserToken",
]
