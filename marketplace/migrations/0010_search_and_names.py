"""Logins are found by their beginning, whatever their case."""

import django.contrib.postgres.indexes
import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0009_search_and_names"),
        ("marketplace", "0009_check_since"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="customer",
            name="customer_by_login",
        ),
        migrations.AddIndex(
            model_name="customer",
            index=models.Index(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Lower("login"), name="text_pattern_ops"
                ),
                name="customer_by_login",
            ),
        ),
        migrations.AddIndex(
            model_name="registration",
            index=models.Index(fields=["aws_account_id"], name="registration_by_aws_account"),
        ),
    ]
