"""What Stripe would make of it: billing conduct and billing objects."""
