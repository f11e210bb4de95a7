"""What support leads may do besides: plans and prices, and opening accounts (`accounts.core.roles`)."""

from django.db import migrations

NEW = {
    "manage_plans": "Can make, change and retire plans, and set prices",
    "open_accounts": "Can open accounts",
}


def allow(apps, schema_editor):
    content_type_model = apps.get_model("contenttypes", "ContentType")
    permission_model = apps.get_model("auth", "Permission")
    content_type, _new = content_type_model.objects.get_or_create(app_label="accounts", model="account")
    group, _new = apps.get_model("auth", "Group").objects.get_or_create(name="Support lead")
    for code, words in NEW.items():
        # Django makes permissions only after all migrations; those that are there it leaves alone.
        permission, _new = permission_model.objects.get_or_create(
            content_type=content_type, codename=code, defaults={"name": words}
        )
        group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0022_inbox")]

    operations = [
        migrations.AlterModelOptions(
            name="account",
            options={
                "permissions": [
                    ("use_desk", "Can use the support desk"),
                    ("answer_requests", "Can answer requests, and propose refunds and deletions"),
                    ("cancel_on_behalf", "Can cancel and keep subscriptions on behalf of their owners"),
                    ("refund", "Can refund"),
                    ("delete_data", "Can approve the deletion of accounts"),
                    ("hold_data", "Can set, confirm and release holds"),
                    ("hand_over", "Can hand over the ownership of accounts"),
                    ("end_subscription", "Can end subscriptions at once"),
                    ("sell_contracts", "Can enter, extend and renew contracts"),
                    ("reactivate", "Can reactivate accounts"),
                    ("mend", "Can process deliveries again, and retry and skip steps"),
                    ("manage_tokens", "Can revoke tokens of the API"),
                    ("manage_plans", "Can make, change and retire plans, and set prices"),
                    ("open_accounts", "Can open accounts"),
                ],
                "verbose_name": "account",
                "verbose_name_plural": "accounts",
            },
        ),
        migrations.RunPython(allow, migrations.RunPython.noop),
    ]
