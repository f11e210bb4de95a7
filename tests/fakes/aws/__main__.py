"""AWS beside `make run`, in the foreground, until Ctrl-C."""

import argparse
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path

from tests.fakes.aws import FakeAWS
from tests.fakes.aws.demo import know_demo
from tests.fakes.aws.sending import all_topics
from tests.fakes.aws.state import SELLER

USAGE = """
  curl {url}/_control/confirm -d '{{}}'                       # the topics ask to be confirmed
  curl {url}/_control/buy -d '{{"entitlements": {{"pro_seats": 5}}}}'
  curl {url}/_control/set_auto_renewal -d '{{"on": false}}'   # of the newest agreement, or "agreement": "agmt-…"
  curl {url}/_control/unsubscribe -d '{{}}'
  curl {url}/_control/finish_unsubscribe -d '{{}}'
  curl {url}/_control/deliver -d '{{"seed": 7, "times": 2}}'  # with --hold: what is held, shuffled, each twice
  curl {url}/_control/play -d '{{"style": "events", "hold": true}}'
  curl {url}/_control/state

`buy` answers with an address: open it in a browser to register as the buyer does. Other verbs: amend, begin,
end_subscription, expire, fail, fail_payment, heal, renew, replace, resubscribe, terminate.
"""


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.fakes.aws", description=__doc__)
    options.add_argument("--port", type=int, default=8901)
    options.add_argument("--site", default="http://127.0.0.1:8000", help="where `make run` serves, on 127.0.0.1")
    options.add_argument("--style", choices=["both", "sns", "events"], default="both", help="which messages are sent")
    options.add_argument("--hold", action="store_true", help="hold messages until `deliver`")
    options.add_argument("--token", default="a-token-for-playing", help="what EventBridge's connection sends")
    options.add_argument("--trust", type=Path, help="where to write the certificate to be trusted")
    options.add_argument("--without-demo", action="store_true", help="do not know the customers of `manage.py demo`")
    chosen = options.parse_args()
    aws = FakeAWS(port=chosen.port)
    aws.clock = lambda: datetime.now(UTC)
    aws.events_token = chosen.token
    aws.desk.site, aws.desk.style, aws.desk.hold = chosen.site.rstrip("/"), chosen.style, chosen.hold
    aws.product()
    if not chosen.without_demo:
        aws.look_at_the_clock()
        know_demo(aws)
    trust = chosen.trust or Path(tempfile.gettempdir()) / f"fake-aws-{chosen.port}.pem"
    trust.write_bytes(aws.trust)
    with aws:
        print(f"AWS at {aws.url}. Start the product with:\n")  # noqa: T201
        print("".join(f"  {name}={value} \\\n" for name, value in environment(aws, trust).items()) + "  make run")  # noqa: T201
        print(USAGE.format(url=aws.url), flush=True)  # noqa: T201
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("Stopped.")  # noqa: T201


def environment(aws: FakeAWS, trust: Path) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_SNS_CERTIFICATE_URL": aws.url,
        "AWS_SNS_TRUST_FILE": str(trust),
        "AWS_SNS_TOPIC_ARNS": ",".join(all_topics(aws.products)),
        "AWS_SNS_CONFIRM_SUBSCRIPTIONS": "1",
        "AWS_PRODUCT_CODES": ",".join(aws.products),
        "AWS_PRODUCT_IDS": ",".join(product.id for product in aws.products.values()),
        "AWS_SELLER_ACCOUNT_IDS": SELLER,
        "AWS_EVENTS_TOKEN": aws.events_token,
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


if __name__ == "__main__":
    main()
