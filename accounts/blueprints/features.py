"""What plans grant in this product, and what ends with them (facts/cancelling, 2: the losses of a cancellation)."""

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.blueprints.blueprint import Blueprint
from accounts.blueprints.connection import CloudConnection, CloudProvider
from accounts.blueprints.feature_codes import BITS_MENU, CLOUD_UPDATES, INFINITE_GRID, LIVE
from accounts.customers.account import Account
from accounts.customers.features import Feature
from accounts.customers.losses import Loss, Stay, Words

#: What a page says that refuses one of them, with the way back to the blueprint.
REFUSED = "blueprints/refused.html"

FEATURES = (
    Feature(INFINITE_GRID, _("Infinite grid"), way_out=REFUSED),
    Feature(LIVE, _("Live view"), way_out=REFUSED),
    Feature(CLOUD_UPDATES, _("AWS and Azure updates")),
    Feature(BITS_MENU, _("Bits menu"), way_out=REFUSED),
)


def _infinite_blueprints(account: Account) -> int:
    return Blueprint.objects.filter(account=account).infinite().count()


def _connections(account: Account, provider: CloudProvider) -> int:
    return CloudConnection.objects.filter(account=account, provider=provider).count()


#: The codes of what is counted are those under which mails stored their numbers before losses were registered.
LOSSES = (
    Loss(
        "infinite_blueprints",
        INFINITE_GRID,
        ahead=Words(
            _("Blueprints on the infinite grid become read-only."),
            lambda count: ngettext(
                "%(count)s blueprint on the infinite grid becomes read-only.",
                "%(count)s blueprints on the infinite grid become read-only.",
                count,
            ),
        ),
        now=Words(
            _("Blueprints on the infinite grid are read-only."),
            lambda count: ngettext(
                "%(count)s blueprint on the infinite grid is read-only.",
                "%(count)s blueprints on the infinite grid are read-only.",
                count,
            ),
        ),
        hint=_("Converting one to the standard grid makes it editable again."),
        count=_infinite_blueprints,
    ),
    Loss("live", LIVE, ahead=Words(_("The Live view is no longer available."))),
    Loss(
        "aws_connections",
        CLOUD_UPDATES,
        ahead=Words(
            _("Resources of AWS connections are no longer updated."),
            lambda count: ngettext(
                "The resources of %(count)s AWS connection are no longer updated.",
                "The resources of %(count)s AWS connections are no longer updated.",
                count,
            ),
        ),
        count=lambda account: _connections(account, CloudProvider.AWS),
    ),
    Loss(
        "azure_connections",
        CLOUD_UPDATES,
        ahead=Words(
            _("Resources of Azure connections are no longer updated."),
            lambda count: ngettext(
                "The resources of %(count)s Azure connection are no longer updated.",
                "The resources of %(count)s Azure connections are no longer updated.",
                count,
            ),
        ),
        count=lambda account: _connections(account, CloudProvider.AZURE),
    ),
    Loss("bits_menu", BITS_MENU, ahead=Words(_("The Bits menu no longer works."))),
)

STAYS = (
    Stay("blueprints", _("You can still open all the blueprints that you made."), in_mails=True),
    Stay("standard_grid", _("Blueprints on the standard grid can still be edited.")),
)
