"""What each customer pays a month, how that moved, and why."""
