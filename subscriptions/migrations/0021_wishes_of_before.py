"""Cancellations that are open already are wishes, too: whoever charges for them has to stop it."""

from django.db import migrations

WISHES = """
INSERT INTO subscriptions_wish
       (subscription_id, want, wanted_end_at, at_once, cause, feedback, version, sent_version, wished_at, deadline_at,
        outcome, answer, next_attempt_at, attempts, last_error)
SELECT subscription.id, 'end', cancellation.effective_at, false,
       CASE WHEN cancellation.reason = 'deletion' THEN 'deletion' ELSE 'owner' END, cancellation.reason, 1, 0,
       cancellation.requested_at, cancellation.effective_at, '', '{}', cancellation.requested_at, 0, ''
  FROM subscriptions_cancellation AS cancellation
  JOIN subscriptions_subscription AS subscription ON subscription.id = cancellation.subscription_id
 WHERE cancellation.withdrawn_at IS NULL AND cancellation.carried_out_at IS NULL
   AND subscription.channel = 'direct' AND subscription.cents > 0 AND subscription.billed_until IS NULL
   AND subscription.settled_at IS NULL AND subscription.ends_at > now()
ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [
        ("subscriptions", "0020_stripe_customers_and_prices"),
    ]

    operations = [
        migrations.RunSQL(WISHES, reverse_sql="DELETE FROM subscriptions_wish"),
    ]
