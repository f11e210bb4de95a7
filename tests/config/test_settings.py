"""Settings that contradict themselves stop the start, with a message that names them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOPIC = "arn:aws:sns:us-east-1:287250355862:aws-mp-subscription-notification-9p2x7q4k"


def start(**settings: str) -> str:
    """The last line of what a start with these settings says; empty when all is well."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    found = subprocess.run(
        [sys.executable, "-c", "import config.settings"],
        env={**environment, **settings},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stderr.strip().splitlines()[-1] if found.returncode else ""


def test_who_sells_nothing_at_aws_sets_nothing() -> None:
    assert start() == ""


def test_what_aws_needs_can_be_set() -> None:
    assert (
        start(
            AWS_SNS_TOPIC_ARNS=f"{TOPIC}, {TOPIC.replace('subscription', 'entitlement')}",
            AWS_PRODUCT_CODES="9p2x7q4k,another",
            AWS_EVENTS_TOKEN="new,old",
            AWS_SNS_HOSTS="sns.{region}.amazonaws.eu",
            AWS_SNS_CONFIRM_SUBSCRIPTIONS="1",
        )
        == ""
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_SNS_TOPIC_ARNS", "aws-mp-subscription-notification-9p2x7q4k"),
        ("AWS_SNS_TOPIC_ARNS", f"{TOPIC},*"),
        ("AWS_SNS_TOPIC_ARNS", TOPIC.replace(":sns:", ":sqs:")),
        ("AWS_SNS_HOSTS", "sns.us-east-1.amazonaws.com"),
        ("AWS_SNS_HOSTS", "sns.{region}.evil.example/x"),
        ("AWS_SNS_HOSTS", "{region}"),
        ("AWS_SNS_TRUST_FILE", "/nowhere/roots.pem"),
        ("AWS_EVENTS_TOKEN", "token, "),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(name: str, value: str) -> None:
    assert name in start(**{name: value})


def test_a_real_server_fetches_certificates_where_aws_says() -> None:
    override = {"AWS_SNS_CERTIFICATE_URL": "http://127.0.0.1:8901"}
    assert start(**override) == ""
    assert "AWS_SNS_CERTIFICATE_URL" in start(**override, SITE_URL="https://blueprints.example")
