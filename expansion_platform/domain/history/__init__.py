"""From what Stripe tells to what every subscription item was at each instant.

What of it cannot be read is here, too.
"""
