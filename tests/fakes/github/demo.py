"""The customers that `manage.py demo` invents, as GitHub would know them: one who pays, and one who has left."""

from datetime import timedelta

from tests.fakes.github.marketplace import Marketplace
from tests.fakes.github.state import Plan, Purchase, Standing, midnight

#: As in `marketplace.management.commands.demo`.
PLAN_ID, FERRIES, TANKERS = 1, (1001, "Octo Ferries"), (1002, "Ghost Tankers")


def know_demo(github: Marketplace) -> Plan:
    """Add the demo's plan and customers to what this GitHub knows, as of its `now`. Returns the plan."""
    plan = github.listing_plan(name="Pro", id=PLAN_ID, monthly=49_00, yearly=490_00, has_free_trial=True)
    owner = github.account("octo-owner")
    ferries, _tankers = (
        github.account(login, id=number, type="Organization", admins=[owner]) for number, login in (FERRIES, TANKERS)
    )
    github.standings[ferries.id] = Standing(
        Purchase(
            plan=plan,
            billing_cycle="monthly",
            unit_count=1,
            free_trial_ends_on=None,
            next_billing_date=midnight(github.now + timedelta(days=12)),
            updated_at=github.now - timedelta(days=45),
        )
    )
    return plan
