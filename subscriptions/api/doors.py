"""This app's doors of the API, and what its refusals are called there."""

from ninja import Router

from accounts.api import problems
from accounts.api.application import Doors
from subscriptions.api import plans, subscriptions
from subscriptions.ending.cancellation import AlreadyEnded, AnotherFollows
from subscriptions.starting import NoListPrice, NotSold

router = Router()
for part in (plans.router, subscriptions.router):
    router.add_router("", part)

DOORS = Doors(
    "subscriptions",
    router,
    refusals={
        AlreadyEnded: problems.ALREADY_ENDED,
        AnotherFollows: problems.OVERLAPPING,
        NoListPrice: problems.NO_LIST_PRICE,
        NotSold: problems.NOT_SOLD,
    },
    constraints={
        "subscription_external_id_is_unique": problems.EXTERNAL_ID_TAKEN,
        "subscription_one_live_an_account": problems.OVERLAPPING,
    },
)
