from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("subscriptions", "0005_figures"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="billingrecord",
            index=models.Index(fields=["kept_until", "id"], name="billing_record_term"),
        ),
    ]
