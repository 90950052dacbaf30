"""What Stripe says: the tables of its objects, and the words it uses (statuses, intervals)."""
