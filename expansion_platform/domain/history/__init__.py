"""From what Stripe tells to what every subscription item was at each instant.

And what of it cannot be read.
"""
