"""The customers that `manage.py demo` invents, as AWS would know them: a contract that renews, and a purchase by use.

Whoever plays AWS beside `make run` finds them as the demo left them: without them AWS's lists would say that they are
gone, and the walk would let them go.
"""

from datetime import timedelta

from tests.fakes.aws.marketplace import Marketplace
from tests.fakes.aws.state import TERM, Agreement, Product

#: As in `marketplace.management.commands.demo`: agreement, AWS account, how long ago it was accepted.
CRANES = ("agmt-demo-cranes", "440000000001", timedelta(days=70))
TUNNELS = ("agmt-demo-tunnels", "440000000002", timedelta(days=40))


def know_demo(aws: Marketplace) -> None:
    """Add the demo's purchases to what this AWS knows, as of its `now`. Nothing is sent."""
    product = aws.product()
    _bought(aws, product, CRANES, entitlements=5)
    # Of the cancellation that is in progress AWS says in the end that it was taken back, so that the demo lasts.
    _bought(aws, product, TUNNELS, entitlements=0).ends_at = None


def _bought(
    aws: Marketplace, product: Product, known_as: tuple[str, str, timedelta], *, entitlements: int
) -> Agreement:
    agreement_id, account, ago = known_as
    accepted = aws.now - ago
    agreement = Agreement(
        id=agreement_id,
        buyer=aws.buyer(account, customer_identifier=f"cust-{account}"),
        product=product,
        offer_id=f"offer-demo{account[-3:]}",
        license_id=f"l-demo{account}",
        entitlements={"pro_seats": entitlements} if entitlements else {},
        accepted_at=accepted,
        starts_at=accepted,
        ends_at=accepted + TERM,
        updated_at=accepted,
    )
    aws.agreements[agreement_id] = agreement
    return agreement
