"""What staff can do about tokens of the API: see whose they are, and revoke them. Making one is a command's."""

from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.api import tokens
from accounts.api.tokens import ApiToken
from accounts.core import roles
from accounts.customers.history import Actor
from accounts.desk.actions.action import Act, Values


def revoke(token: ApiToken, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    """From now on it opens nothing; whoever uses it is refused with the next call."""
    return gettext("The token is revoked.") if tokens.revoke(token, by=by, at=at) else None


ACTIONS = (
    Act(
        "revoke_token",
        _("Revoke"),
        ApiToken,
        roles.TOKENS,
        revoke,
        account_of=lambda token: None,
        offered=lambda token, at: token.revoked_at is None,
        is_grave=True,
    ),
)
