"""This app's doors of the API, and what its refusals are called there."""

from ninja import Router

from accounts.api import accounts, entitlements, erasures, events, problems, usage
from accounts.api.application import Doors
from accounts.customers.opening import AddressTaken, OtherPerson
from accounts.customers.promises import OutOfDate
from accounts.people.members import NotTheOwner
from accounts.support.ownership import NotProven

router = Router()
for part in (accounts.router, entitlements.router, usage.router, events.router, erasures.router):
    router.add_router("", part)

DOORS = Doors(
    "accounts",
    router,
    refusals={
        OtherPerson: problems.EXTERNAL_ID_TAKEN,
        AddressTaken: problems.ADDRESS_TAKEN,
        NotTheOwner: problems.LAST_OWNER,
        NotProven: problems.NOT_PROVEN,
        OutOfDate: problems.OUT_OF_DATE,
    },
    constraints={
        "account_external_id_is_unique": problems.EXTERNAL_ID_TAKEN,
        "user_external_id_is_unique": problems.EXTERNAL_ID_TAKEN,
        "accounts_user_email_key": problems.ADDRESS_TAKEN,
        "membership_is_unique": problems.CONFLICT,
        "membership_one_owner": problems.CONFLICT,
        "people_who_go_stay_out": problems.CONFLICT,
        "refused_while_erasing": problems.ERASED,
    },
)
