"""A simulated company whose truth is known, and the loopback servers it is read through.

Here: the company, what Stripe, PostHog and Slack would say, and the truth only tests may read. Not here: the
pipeline.
"""
