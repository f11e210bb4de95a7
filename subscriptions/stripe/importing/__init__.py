"""Bringing in customers that Stripe has already: whose account each is, and what it holds there (docs/stripe.md).

Stripe is only read, nobody gets mail, and what is not certain is listed, never guessed. A customer is an account's by
our own link, else by the account's id in its metadata, else by the mail address of one owner, without case: addresses
are not unique at Stripe. All of it is read first, then taken over customer by customer, each in a transaction. Again
changes nothing, so a run that was cut off is simply run again.
"""
