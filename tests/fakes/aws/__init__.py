"""An AWS to test against: Marketplace's API, its buyers, SNS and EventBridge, in memory, over HTTP.

    with FakeAWS() as aws:
        buyer = aws.buyer(customer_identifier="cust-1")
        bought = aws.buy(buyer)                      # .agreement, .messages: .sns and .events of the same facts
        bought.sns[0].post(f"{site}/marketplace/aws/sns/")
        aws.fail("marketplace-agreement.DescribeAgreement", "ThrottlingException", times=2)
        leaving, over = aws.unsubscribe(bought.agreement), aws.finish_unsubscribe(bought.agreement)

`AWS_ENDPOINT_URL` and `AWS_SNS_CERTIFICATE_URL` are `aws.url`, `AWS_SNS_TRUST_FILE` a file with `aws.trust`.
`python -m tests.fakes.aws` runs it beside `make run`. README.md says what it follows, and why it is not moto.

Where what is: `state` (products, buyers, agreements), `marketplace` (what buyers do), `sending` and `messages` (what
AWS sends), `signing` (certificates); `operations` and `protocols` are the API; `traffic` (what was asked, what must
fail); `server` is HTTP; `control` is for playing it by hand.
"""

from tests.fakes.aws.fake import FakeAWS
from tests.fakes.aws.messages import Event, Happened, Message, SnsMessage
from tests.fakes.aws.state import Agreement, Buyer, Product
from tests.fakes.aws.traffic import Request

__all__ = ["Agreement", "Buyer", "Event", "FakeAWS", "Happened", "Message", "Product", "Request", "SnsMessage"]
