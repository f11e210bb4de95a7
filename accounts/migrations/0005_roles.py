"""The two groups of the support desk, and what each may do (`accounts.desk.roles`)."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

AGENT = ("use_desk", "answer_requests", "cancel_on_behalf")
LEAD = (
    *AGENT,
    "refund",
    "delete_data",
    "hold_data",
    "hand_over",
    "end_subscription",
    "sell_contracts",
    "reactivate",
    "mend",
)


def make_groups(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    content_type_model = apps.get_model("contenttypes", "ContentType")
    permission_model = apps.get_model("auth", "Permission")
    group_model = apps.get_model("auth", "Group")
    content_type, _new = content_type_model.objects.get_or_create(app_label="accounts", model="account")
    # Django makes permissions only after all migrations; those that are there it leaves alone.
    names = dict(apps.get_model("accounts", "Account")._meta.permissions)
    permissions = {
        code: permission_model.objects.get_or_create(
            content_type=content_type, codename=code, defaults={"name": str(names[code])}
        )[0]
        for code in LEAD
    }
    for name, codes in (("Support agent", AGENT), ("Support lead", LEAD)):
        group, _new = group_model.objects.get_or_create(name=name)
        group.permissions.add(*(permissions[code] for code in codes))


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_desk"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
