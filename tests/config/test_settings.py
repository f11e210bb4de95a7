"""Settings that contradict themselves stop the start, with a message that names them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def told(**settings: str) -> str:
    """All that a start with these settings says."""
    found = subprocess.run(
        [sys.executable, "-c", "import config.settings"],
        env={**os.environ, **settings},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stderr


def value(name: str, **settings: str) -> Any:
    """What a setting holds after a start with these settings."""
    found = subprocess.run(
        [sys.executable, "-c", f"import config.settings as s, json; print(json.dumps(s.{name}))"],
        env={**os.environ, **settings},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(found.stdout)


def test_all_that_is_missing_is_named_at_once() -> None:
    said = told(SECRET_KEY="", FIELD_ENCRYPTION_KEYS=" ", GITHUB_WEBHOOK_SECRETS="", GITHUB_CLIENT_ID="Iv1.example")
    assert "SECRET_KEY, FIELD_ENCRYPTION_KEYS, GITHUB_WEBHOOK_SECRETS are not set." in said
    assert "SECRET_KEY is not set." in told(SECRET_KEY="")


def test_what_is_wrong_is_named_beside_what_is_missing() -> None:
    said = told(SECRET_KEY="", GITHUB_CANCELLATION="perhaps", AWS_SNS_TOPIC_ARNS="arn:x")
    for name in ("SECRET_KEY is not set", "GITHUB_CANCELLATION must be", "AWS_SNS_TOPIC_ARNS: 'arn:x'"):
        assert name in said


def test_whoever_reads_another_folder_is_told_where_its_settings_were_sought(tmp_path: Path) -> None:
    assert f"reads {tmp_path}/stack.env" in told(SECRET_KEY="", DATA_DIR=str(tmp_path))


def test_who_sells_nothing_at_github_needs_no_secret_of_it() -> None:
    assert value("GITHUB_WEBHOOK_SECRETS", GITHUB_WEBHOOK_SECRETS="") == []


@pytest.mark.parametrize("name", ["GITHUB_CLIENT_ID", "GITHUB_APP_ID", "GITHUB_LISTING_SLUG"])
def test_who_sells_at_github_needs_its_secret(name: str) -> None:
    assert "GITHUB_WEBHOOK_SECRETS is not set" in told(GITHUB_WEBHOOK_SECRETS="", **{name: "set"})


@pytest.mark.parametrize(
    "name",
    [
        "ALLOWED_HOSTS",
        "API_TOKENS",
        "AWS_EVENTS_TOKEN",
        "AWS_PRODUCT_CODES",
        "AWS_PRODUCT_IDS",
        "FIELD_ENCRYPTION_KEYS",
        "GITHUB_WEBHOOK_SECRETS",
    ],
)
def test_lists_are_stripped_of_blanks(name: str) -> None:
    assert value(name, **{name: " old , new "}) == ["old", "new"]


@pytest.mark.parametrize("name", ["API_TOKENS", "AWS_EVENTS_TOKEN", "FIELD_ENCRYPTION_KEYS", "GITHUB_WEBHOOK_SECRETS"])
def test_no_list_of_secrets_has_an_empty_one(name: str) -> None:
    assert f"{name} contains an empty secret" in told(**{name: "good,,also good"})


def test_without_a_brand_the_demo_has_its_own_and_a_real_server_that_of_its_host() -> None:
    names = ("BRAND_NAME", "BRAND_URL", "SUPPORT_EMAIL", "DEFAULT_FROM_EMAIL")
    unset = dict.fromkeys((*names, "BRAND_COLOUR"), "")
    assert [value(name, **unset, SITE_URL="http://127.0.0.1:8000") for name in names] == [
        "Blueprints",
        "http://127.0.0.1:8000",
        "support@blueprints.example",
        "Blueprints <no-reply@blueprints.example>",
    ]
    assert [value(name, **unset, SITE_URL="https://app.acme.example") for name in names] == [
        "app.acme.example",
        "https://app.acme.example",
        "support@app.acme.example",
        '"app.acme.example" <no-reply@app.acme.example>',
    ]
    assert value("BRAND_COLOUR", **unset) == "#0b5c74"


def test_the_sender_of_mails_is_the_brand_in_whatever_letters() -> None:
    real = {"SITE_URL": "https://app.acme.example", "DEFAULT_FROM_EMAIL": ""}
    assert value("DEFAULT_FROM_EMAIL", **real, BRAND_NAME="Acme, Inc.") == '"Acme, Inc." <no-reply@app.acme.example>'
    assert value("DEFAULT_FROM_EMAIL", **real, BRAND_NAME="Café “Ö”") == '"Café “Ö”" <no-reply@app.acme.example>'


def test_a_brand_is_made_canonical() -> None:
    assert value("BRAND_NAME", BRAND_NAME="  Acme \t Works ") == "Acme Works"
    assert value("BRAND_COLOUR", BRAND_COLOUR=" #7A0B74 ") == "#7a0b74"
    assert value("SUPPORT_EMAIL", SUPPORT_EMAIL="Help@Bücher.example") == "help@xn--bcher-kva.example"
    assert (
        value("BUY_URL", BUY_URL="https://shop.example/plans?from=app#pro") == "https://shop.example/plans?from=app#pro"
    )


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("BRAND_NAME", "x" * 61, "BRAND_NAME must be one line of at most 60 characters."),
        ("BRAND_NAME", "Acme\x1b[31m", "BRAND_NAME must be one line of at most 60 characters."),
        ("BRAND_COLOUR", "teal", "BRAND_COLOUR must be a colour such as #0b5c74, not 'teal'."),
        ("BRAND_COLOUR", "#0b5", "BRAND_COLOUR must be a colour such as #0b5c74, not '#0b5'."),
        (
            "BRAND_COLOUR",
            "#ffd400",
            "BRAND_COLOUR: #ffd400 can't be read on white: its contrast is 1.4, and text needs 4.5. "
            "The nearest shade that can be read is #8a7200.",
        ),
        (
            "SUPPORT_EMAIL",
            "help",
            "SUPPORT_EMAIL must be a mail address such as support@blueprints.example, not 'help'.",
        ),
        (
            "BRAND_URL",
            "acme.example",
            "BRAND_URL must be an address such as https://www.example.com/, not 'acme.example'.",
        ),
        ("BUY_URL", "javascript:alert(1)", "BUY_URL must be an address such as https://www.example.com/, not "),
        ("BUY_URL", "https://", "BUY_URL must be an address"),
        ("BUY_URL", "https://shop.example:port/", "BUY_URL must be an address"),
        ("BUY_URL", "https://user@shop.example/", "BUY_URL must be an address"),
        ("BUY_URL", "https://shop.example/a b", "BUY_URL must be an address"),
        ("BILLING_ENDPOINT", "https://billing.example/", "BILLING_ENDPOINT_SECRETS"),
        (
            "OUTGOING_ALLOWED_NETWORKS",
            "10.0.0.0/8,10.1.0.0/8",
            "OUTGOING_ALLOWED_NETWORKS must be networks such as 10.1.0.0/16, not '10.1.0.0/8'.",
        ),
        ("OUTGOING_CA_FILE", "/nowhere/ca.pem", "OUTGOING_CA_FILE: there is no file /nowhere/ca.pem."),
        ("BILLING_ENDPOINT_SECRETS", "hunter2", "BILLING_ENDPOINT_SECRETS must be `whsec_` and 24 to 64 random bytes"),
    ],
)
def test_a_brand_that_makes_no_sense_stops_the_start(name: str, wrong: str, message: str) -> None:
    assert message in start(**{name: wrong})
