"""What terms are worth: price schemes, discounts, and the counting policy."""
