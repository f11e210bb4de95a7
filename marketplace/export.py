"""What this app adds to an account's data export (`accounts.exports.parts`): what the customer bought, and where."""

from accounts.exports.parts import DAY, INSTANT, INTEGER, TEXT, Rows, of_owner, optional
from marketplace.aws.agreement import AwsAgreement
from marketplace.aws.registration import Registration
from marketplace.github.customer import GitHubCustomer
from marketplace.github.repository_hooks import RepositoryHook
from marketplace.github.tokens import UserToken

EXPORT_PARTS = (
    Rows(
        "github_hooks.json",
        lambda account: RepositoryHook.objects.filter(account=account),
        {
            "id": INTEGER,
            "repository": TEXT,
            "hook_id": INTEGER,
            "github_user_id": optional(INTEGER),
            "registered_at": INSTANT,
            "deleted_at": optional(INSTANT),
        },
    ),
    Rows(
        "owner_github_authorisations.json",
        lambda account: UserToken.objects.filter(**of_owner("user", account)),
        {
            "id": INTEGER,
            "github_user_id": INTEGER,
            "login": TEXT,
            "scopes": TEXT,
            "obtained_at": INSTANT,
            "expires_at": optional(INSTANT),
            "revoked_at": optional(INSTANT),
        },
    ),
    Rows(
        "aws_registrations.json",
        lambda account: Registration.objects.filter(account=account),
        {
            "id": INTEGER,
            "agreement_id": TEXT,
            "licence_id": TEXT,
            "aws_account_id": TEXT,
            "customer_identifier": TEXT,
            "product_code": TEXT,
            "resolved_at": INSTANT,
            "used_by_id": optional(INTEGER),
            "used_at": optional(INSTANT),
        },
    ),
    Rows(
        "github_customers.json",
        lambda account: GitHubCustomer.objects.filter(account=account),
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
        lambda account: AwsAgreement.objects.filter(account=account),
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
