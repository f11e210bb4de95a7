"""The product becomes an app of its own (`PRODUCT_APPS`), which takes over its tables under their names.

Tables in which nothing was ever stored are removed: an installation that sells something else has none of them, and
the product's own migration makes them again where it is installed. Triggers bear the name of their app: the product
makes its own.
"""

import pgtrigger.migrations
from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

MODELS = ("CloudConnection", "Blueprint")


def remove_empty_tables(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for name in MODELS:
        model = apps.get_model("accounts", name)
        if not model.objects.exists():
            schema_editor.delete_model(model)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0020_api_tokens"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(model_name="blueprint", name="refused_while_erasing"),
        pgtrigger.migrations.RemoveTrigger(model_name="cloudconnection", name="refused_while_erasing"),
        migrations.RunPython(remove_empty_tables),
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.DeleteModel(name=name) for name in MODELS],
        ),
    ]
