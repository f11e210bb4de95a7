import django.db.models.deletion
from django.db import migrations, models

#: Each customer's newest subscription that was bought at GitHub is the one that the purchase began. What is being
#: erased is left alone: nothing may be written to it any more.
LINK = """
UPDATE marketplace_customer AS customer
   SET subscription_id = newest.id
  FROM (
      SELECT DISTINCT ON (account_id) id, account_id
        FROM subscriptions_subscription
       WHERE channel = 'github_marketplace'
       ORDER BY account_id, started_at DESC, id DESC
  ) AS newest
  JOIN accounts_account AS account ON account.id = newest.account_id AND account.purging_at IS NULL
 WHERE newest.account_id = customer.account_id
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0007_figures_and_bulk_runs"),
        ("marketplace", "0006_aws_origin"),
        ("subscriptions", "0006_retention"),
    ]

    operations = [
        migrations.AddField(
            model_name="customer",
            name="subscription",
            field=models.OneToOneField(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="github_customer",
                to="subscriptions.subscription",
                verbose_name="subscription",
            ),
        ),
        migrations.RunSQL(LINK, migrations.RunSQL.noop),
    ]
