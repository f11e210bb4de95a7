"""The default catalogue: the free plan; and, where the demo's product is installed, what a diagramming service sells.

(design, section 2.) Prices are US cents a seat and cycle. Who sells something else makes their own plans at the desk.
"""

from django.apps import apps as installed
from django.db import migrations

EVERYTHING = ["infinite_grid", "live", "cloud_updates", "bits_menu"]

PLANS = [
    ("free", "Free", []),
    ("pro", "Pro", EVERYTHING),
    ("enterprise", "Enterprise", EVERYTHING),
]

PRICES = [
    ("pro", 1, 49_00),
    ("pro", 12, 490_00),
    ("enterprise", 12, 1_200_00),
]


def add(apps, schema_editor):
    plan_model = apps.get_model("subscriptions", "Plan")
    price_model = apps.get_model("subscriptions", "Price")
    if not installed.is_installed("accounts.blueprints"):
        plan_model.objects.create(code="free", name="Free", features=[])
        return
    plan_model.objects.bulk_create(
        [plan_model(code=code, name=name, features=features) for code, name, features in PLANS]
    )
    price_model.objects.bulk_create(
        [price_model(plan_id=plan, interval=interval, cents=cents) for plan, interval, cents in PRICES]
    )


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0001_initial")]

    # Taking the plans away again is left to the removal of the tables: subscriptions may hold on to them.
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
