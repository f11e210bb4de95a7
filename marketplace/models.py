"""The tables of this app, each defined in the module named for it."""

from marketplace.delivery import Delivery, Outcome, Source
from marketplace.github.customer import Customer
from marketplace.github.hooks import RepositoryHook
from marketplace.github.limits import Pause
from marketplace.github.listing import ListingPlan
from marketplace.github.tokens import UserToken
from marketplace.offboarding import Offboarding, Step, StepKind

__all__ = [
    "Customer",
    "Delivery",
    "ListingPlan",
    "Offboarding",
    "Outcome",
    "Pause",
    "RepositoryHook",
    "Source",
    "Step",
    "StepKind",
    "UserToken",
]
