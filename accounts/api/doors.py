"""This app's doors of the API, and what its refusals are called there."""

from ninja import Router

from accounts.api import accounts, endpoints, entitlements, erasures, events, problems, usage
from accounts.api.application import Doors
from accounts.customers.opening import OtherPerson, OwnerAddressTaken
from accounts.customers.promises import OutOfDate
from accounts.events.managing import AddressInUse, BadEndpoint, Removed
from accounts.events.replaying import BackwardRange, NothingToReplay
from accounts.people.members import NotTheOwner
from accounts.support.ownership import NotProven

router = Router()
for part in (accounts.router, entitlements.router, usage.router, events.router, endpoints.router, erasures.router):
    router.add_router("", part)

DOORS = Doors(
    "accounts",
    router,
    refusals={
        OtherPerson: problems.EXTERNAL_ID_TAKEN,
        OwnerAddressTaken: problems.ADDRESS_TAKEN,
        NotTheOwner: problems.LAST_OWNER,
        NotProven: problems.NOT_PROVEN,
        OutOfDate: problems.OUT_OF_DATE,
        BadEndpoint: problems.BAD_ENDPOINT,
        AddressInUse: problems.ENDPOINT_ADDRESS_TAKEN,
        Removed: problems.NOT_FOUND,
        BackwardRange: problems.BAD_RANGE,
        NothingToReplay: problems.NOTHING_TO_REPLAY,
    },
    constraints={
        "account_external_id_is_unique": problems.EXTERNAL_ID_TAKEN,
        "user_external_id_is_unique": problems.EXTERNAL_ID_TAKEN,
        "accounts_user_email_key": problems.ADDRESS_TAKEN,
        "membership_is_unique": problems.CONFLICT,
        "membership_one_owner": problems.CONFLICT,
        "people_who_go_stay_out": problems.CONFLICT,
        "endpoint_one_of_an_address": problems.ENDPOINT_ADDRESS_TAKEN,
        "refused_while_erasing": problems.ERASED,
    },
)
