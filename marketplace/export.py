"""What this app adds to an account's data export (`accounts.exports.parts`): what the customer bought, and where."""

from accounts.exports.parts import DAY, INSTANT, INTEGER, TEXT, Rows, optional
from marketplace.aws.agreement import Agreement
from marketplace.github.customer import Customer

EXPORT_PARTS = (
    Rows(
        "github_customers.json",
        lambda account: Customer.objects.filter(account=account),
        {
            "id": INTEGER,
            "github_id": INTEGER,
            "login": TEXT,
            "kind": TEXT,
            "listing_plan_id": INTEGER,
            "seats": INTEGER,
            "trial_ends_on": optional(DAY),
            "next_billing_on": optional(DAY),
            "cancelled_at": optional(INSTANT),
        },
    ),
    Rows(
        "aws_agreements.json",
        lambda account: Agreement.objects.filter(account=account),
        {
            "id": INTEGER,
            "agreement_id": optional(TEXT),
            "licence_id": optional(TEXT),
            "aws_account_id": TEXT,
            "customer_identifier": TEXT,
            "product_code": TEXT,
            "seats": INTEGER,
            "registered_at": optional(INSTANT),
            "renews_or_ends_at": optional(INSTANT),
            "ended_at": optional(INSTANT),
        },
    ),
)
