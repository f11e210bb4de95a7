"""Staff find accounts and people by words without accents; names stand on one line."""

from typing import Any

import django.contrib.postgres.indexes
from django.db import migrations, models

import accounts.core.search_fields
from accounts.core import foreign_input

#: Rows at a time.
BATCH = 1000


def carry_over(apps: Any, schema_editor: Any) -> None:
    """Make names canonical that were taken as they came, and write down the words to find them by."""
    for model, limit in (("Account", 200), ("User", 150)):
        rows = apps.get_model("accounts", model).objects
        batch = []
        for row in rows.only("pk", "name").order_by("pk").iterator(chunk_size=BATCH):
            row.name = foreign_input.name_told(row.name, limit=limit)
            row.words = " ".join(foreign_input.words(row.name))
            batch.append(row)
            if len(batch) == BATCH:
                rows.bulk_update(batch, ["name", "words"])
                batch = []
        rows.bulk_update(batch, ["name", "words"])


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0008_purge_obligation"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="account",
            name="account_by_words",
        ),
        migrations.AddField(
            model_name="account",
            name="words",
            field=accounts.core.search_fields.SearchWords(blank=True, default="", editable=False, source="name"),
        ),
        migrations.AddField(
            model_name="user",
            name="words",
            field=accounts.core.search_fields.SearchWords(blank=True, default="", editable=False, source="name"),
        ),
        migrations.RunPython(carry_over, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="account",
            index=django.contrib.postgres.indexes.GinIndex(
                models.Func(
                    models.Func(models.F("words"), models.Value(" "), function="string_to_array"),
                    function="array_to_tsvector",
                ),
                name="account_by_words",
            ),
        ),
        migrations.AddIndex(
            model_name="user",
            index=django.contrib.postgres.indexes.GinIndex(
                models.Func(
                    models.Func(models.F("words"), models.Value(" "), function="string_to_array"),
                    function="array_to_tsvector",
                ),
                name="user_by_words",
            ),
        ),
        migrations.AddConstraint(
            model_name="account",
            constraint=models.CheckConstraint(
                condition=models.Q(("name__regex", "[\\u0001-\\u001f\\u007f-\\u009f\\u2028\\u2029]"), _negated=True),
                name="account_name_is_one_line",
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("name__regex", "[\\u0001-\\u001f\\u007f-\\u009f\\u2028\\u2029]"), _negated=True),
                name="user_name_is_one_line",
            ),
        ),
    ]
