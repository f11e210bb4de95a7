"""What has to be sold before anybody can buy."""

from django.utils.translation import gettext_lazy as _

from accounts.core import clock
from accounts.desk.dashboard.first_steps import FirstStep
from subscriptions.plan import Plan, Price

STEPS = (
    FirstStep(
        "plans",
        10,
        _("Plans"),
        _("Make what you sell: a code, a name, the features that it grants."),
        lambda: Plan.objects.sold(clock.now()).exists(),
        page="admin:act",
        page_arguments=("new_plan", "new"),
    ),
    FirstStep(
        "prices",
        20,
        _("Prices"),
        _("Open a plan, and set what a seat costs a month or a year."),
        lambda: Price.objects.on_the_list(clock.now()).exists(),
        page="admin:subscriptions_plan_changelist",
    ),
)
