"""Stripe behind the direct channel: one provider of the port `subscriptions.billing`; no other room knows of it."""
