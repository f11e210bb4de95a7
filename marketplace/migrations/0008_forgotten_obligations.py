from datetime import timedelta

from django.conf import settings
from django.db import migrations

#: A purge knew one cause alone: where a customer's request took it over, the marketplace's obligation was forgotten,
#: and with the request called off, so was the purge. What an open offboarding obliges us to is written down again.
STAND_BESIDE = """
INSERT INTO accounts_purgeobligation (purge_id, cause, received_at, due_at, deadline_at)
SELECT purge.id, 'marketplace_cancellation', offboarding.received_at, offboarding.deadline_at - %(lead)s,
       offboarding.deadline_at
  FROM marketplace_offboarding AS offboarding
  JOIN accounts_purge AS purge ON purge.account_id = offboarding.account_id
   AND purge.called_off_at IS NULL AND purge.verified_at IS NULL AND purge.erased_before_at IS NULL
 WHERE offboarding.called_off_at IS NULL AND offboarding.finished_at IS NULL
   AND NOT EXISTS (
       SELECT 1 FROM accounts_purgeobligation AS known
        WHERE known.purge_id = purge.id AND known.cause = 'marketplace_cancellation' AND known.called_off_at IS NULL
   )
"""
SCHEDULE_AGAIN = """
WITH scheduled AS (
    INSERT INTO accounts_purge (account_id, cause, received_at, due_at, deadline_at, next_attempt_at, waiting_for,
                                progress, kept, chunk, failures, last_error)
    SELECT offboarding.account_id, 'marketplace_cancellation', offboarding.received_at,
           offboarding.deadline_at - %(lead)s, offboarding.deadline_at, offboarding.deadline_at - %(lead)s,
           '', '{}', '{}', 5000, 0, ''
      FROM marketplace_offboarding AS offboarding
      JOIN accounts_account AS account ON account.id = offboarding.account_id AND account.deactivated_at IS NOT NULL
     WHERE offboarding.called_off_at IS NULL AND offboarding.finished_at IS NULL
       AND NOT EXISTS (
           SELECT 1 FROM accounts_purge AS purge
            WHERE purge.account_id = offboarding.account_id AND purge.called_off_at IS NULL
              AND (purge.verified_at IS NULL OR purge.verified_at >= offboarding.received_at)
       )
    RETURNING id, cause, received_at, due_at, deadline_at
)
INSERT INTO accounts_purgeobligation (purge_id, cause, received_at, due_at, deadline_at)
SELECT id, cause, received_at, due_at, deadline_at FROM scheduled
"""


def write_down(apps, schema_editor):
    lead = {"lead": timedelta(hours=settings.PURGE_LEAD_HOURS)}
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(STAND_BESIDE, lead)
        cursor.execute(SCHEDULE_AGAIN, lead)


class Migration(migrations.Migration):
    #: It writes purges as they are before their columns are renamed.
    run_before = [("accounts", "0011_due_work")]
    dependencies = [
        ("accounts", "0008_purge_obligation"),
        ("marketplace", "0007_purchase_of_a_subscription"),
    ]

    operations = [migrations.RunPython(write_down, migrations.RunPython.noop)]
