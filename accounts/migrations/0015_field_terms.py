"""Models are called by the field's terms; their tables keep their names."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0014_canonical_addresses")]

    operations = [
        migrations.AlterModelTable("Deed", "accounts_deed"),
        migrations.RenameModel("Deed", "StaffAction"),
        migrations.AlterModelTable("Leaver", "accounts_leaver"),
        migrations.RenameModel("Leaver", "DepartingPerson"),
        migrations.AlterModelTable("DoomedFile", "accounts_doomedfile"),
        migrations.RenameModel("DoomedFile", "FileDeletion"),
        migrations.AlterModelOptions(
            name="staffaction", options={"verbose_name": "staff action", "verbose_name_plural": "staff actions"}
        ),
        migrations.AlterModelOptions(
            name="departingperson",
            options={"verbose_name": "departing person", "verbose_name_plural": "departing people"},
        ),
    ]
