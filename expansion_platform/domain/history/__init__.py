"""From Stripe's data to the state of every subscription item at each instant.

The data that cannot be read is here, too.
"""
