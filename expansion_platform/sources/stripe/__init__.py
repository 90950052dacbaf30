"""Stripe billing data through the official SDK.

Here: the client, the pulls and the allow-listed rows. Not here: history, MRR, storage.
"""
