"""From what Stripe tells to what every subscription item was at each instant, and what of it cannot be read."""
