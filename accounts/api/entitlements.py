"""The door that a product asks before it lets an account do something: few statements, and right at that instant."""

import uuid

from django.http import HttpRequest, HttpResponse
from ninja import Router

from accounts.api.answers import MAY_CARRY_IF_NONE_MATCH, answer
from accounts.api.caller import Token, caller_of
from accounts.api.fields import InstantOut, Told
from accounts.api.lookup import gone_or_unknown
from accounts.api.tokens import Scope
from accounts.customers.account import Account
from accounts.customers.entitlements import entitlements_of

router = Router(tags=["entitlements"])
#: To be asked again each time: dates decide, and the next second may be another answer.
ASK_AGAIN = "private, no-cache"


class EntitlementsTold(Told):
    account: uuid.UUID
    #: False while the account is deactivated or being erased: then nothing is allowed.
    active: bool
    plan: str
    features: list[str]
    since: InstantOut
    until: InstantOut | None


@router.get(
    "accounts/{uuid:account_id}/entitlements/",
    auth=Token(Scope.ENTITLEMENTS_READ),
    response=EntitlementsTold,
    openapi_extra=MAY_CARRY_IF_NONE_MATCH,
)
def get_entitlements(request: HttpRequest, account_id: uuid.UUID) -> HttpResponse:
    """What the account may do at this instant."""
    account = Account.objects.filter(pk=account_id).first()
    if account is None:
        raise gone_or_unknown(account_id)
    found = entitlements_of(account, caller_of(request).at)
    told = EntitlementsTold.model_construct(
        account=account.pk,
        active=found.active,
        plan=found.plan,
        features=sorted(found.features),
        since=found.since,
        until=found.until,
    )
    return answer(request, told, cache=ASK_AGAIN)
