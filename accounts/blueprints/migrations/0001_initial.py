"""The product as an app of its own: it takes over its tables, which `accounts` had made, and makes them where they are not.

What staff may see and what the admin has noted hang on the content types: those are renamed.
"""

import uuid

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

import accounts.blueprints.blueprint
import accounts.core.clock

MODELS = ("CloudConnection", "Blueprint")


def make_missing_tables(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    there = schema_editor.connection.introspection.table_names()
    for name in MODELS:
        model = apps.get_model("blueprints", name)
        if model._meta.db_table not in there:
            schema_editor.create_model(model)


def remove_tables(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Backwards, as of any app's first migration: with the product go its rows (docs/your-own-product.md)."""
    for name in MODELS:
        schema_editor.delete_model(apps.get_model("blueprints", name))


def take_over_permissions(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    content_types = apps.get_model("contenttypes", "ContentType").objects
    content_types.filter(app_label="accounts", model__in=[name.lower() for name in MODELS]).update(
        app_label="blueprints"
    )


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0021_product_moves_out"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="CloudConnection",
                    fields=[
                        ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                        (
                            "provider",
                            models.CharField(
                                choices=[("aws", "AWS"), ("azure", "Azure")], max_length=10, verbose_name="provider"
                            ),
                        ),
                        ("name", models.CharField(max_length=200, verbose_name="name")),
                        ("resources", models.JSONField(blank=True, default=list, verbose_name="resources")),
                        ("resources_at", models.DateTimeField(blank=True, null=True, verbose_name="resources as of")),
                        (
                            "created_at",
                            models.DateTimeField(
                                default=accounts.core.clock.now, editable=False, verbose_name="connected"
                            ),
                        ),
                        (
                            "account",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="connections",
                                to="accounts.account",
                                verbose_name="account",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "cloud connection",
                        "verbose_name_plural": "cloud connections",
                        "db_table": "accounts_cloudconnection",
                        "ordering": ["provider", "name", "id"],
                    },
                ),
                migrations.CreateModel(
                    name="Blueprint",
                    fields=[
                        ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                        ("name", models.CharField(max_length=200, verbose_name="name")),
                        (
                            "grid",
                            models.CharField(
                                choices=[("standard", "Standard grid"), ("infinite", "Infinite grid")],
                                default="standard",
                                max_length=10,
                                verbose_name="grid",
                            ),
                        ),
                        ("components", models.JSONField(blank=True, default=list, verbose_name="components")),
                        (
                            "thumbnail",
                            models.FileField(
                                blank=True,
                                upload_to=accounts.blueprints.blueprint.thumbnail_path,
                                verbose_name="thumbnail",
                            ),
                        ),
                        (
                            "created_at",
                            models.DateTimeField(
                                default=accounts.core.clock.now, editable=False, verbose_name="created"
                            ),
                        ),
                        (
                            "changed_at",
                            models.DateTimeField(
                                default=accounts.core.clock.now, editable=False, verbose_name="changed"
                            ),
                        ),
                        (
                            "account",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="blueprints",
                                to="accounts.account",
                                verbose_name="account",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "blueprint",
                        "verbose_name_plural": "blueprints",
                        "db_table": "accounts_blueprint",
                        "ordering": ["name", "id"],
                        "indexes": [
                            models.Index(fields=["account", "grid", "name"], name="blueprint_of_account"),
                            models.Index(fields=["account", "id"], name="blueprint_by_key"),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("grid__in", ["standard", "infinite"])),
                                name="blueprint_grid_is_known",
                            )
                        ],
                    },
                ),
                migrations.AddIndex(
                    model_name="cloudconnection",
                    index=models.Index(fields=["account", "provider", "name"], name="connection_of_account"),
                ),
                migrations.AddConstraint(
                    model_name="cloudconnection",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("provider__in", ["aws", "azure"])), name="connection_provider_is_known"
                    ),
                ),
            ],
        ),
        migrations.RunPython(make_missing_tables, remove_tables),
        migrations.RunPython(take_over_permissions, migrations.RunPython.noop),
        pgtrigger.migrations.AddTrigger(
            model_name="blueprint",
            trigger=pgtrigger.compiler.Trigger(
                name="refused_while_erasing",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n            PERFORM 1 FROM accounts_account WHERE id IN (SELECT account_id FROM inserted) FOR KEY SHARE;\n            IF EXISTS (\n                SELECT 1 FROM accounts_account\n                 WHERE id IN (SELECT account_id FROM inserted) AND purging_at IS NOT NULL\n            ) THEN\n                RAISE EXCEPTION 'the account is being erased: nothing may be written to it'\n                    USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'refused_while_erasing';\n            END IF;\n            RETURN NULL;\n        ",
                    hash="326c9fba3fbab04d4749f9af088137a4aa727f5f",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_refused_while_erasing_01b05",
                    referencing="REFERENCING NEW TABLE AS inserted ",
                    table="accounts_blueprint",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="cloudconnection",
            trigger=pgtrigger.compiler.Trigger(
                name="refused_while_erasing",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n            PERFORM 1 FROM accounts_account WHERE id IN (SELECT account_id FROM inserted) FOR KEY SHARE;\n            IF EXISTS (\n                SELECT 1 FROM accounts_account\n                 WHERE id IN (SELECT account_id FROM inserted) AND purging_at IS NOT NULL\n            ) THEN\n                RAISE EXCEPTION 'the account is being erased: nothing may be written to it'\n                    USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'refused_while_erasing';\n            END IF;\n            RETURN NULL;\n        ",
                    hash="3927f3ff691e8e1bdd6eee8898c78b88447edf9d",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_refused_while_erasing_248cd",
                    referencing="REFERENCING NEW TABLE AS inserted ",
                    table="accounts_cloudconnection",
                    when="AFTER",
                ),
            ),
        ),
    ]
