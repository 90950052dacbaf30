"""Loopback servers that speak as Stripe, PostHog and Slack do."""
