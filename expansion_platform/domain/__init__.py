"""What the numbers are: pure functions over frames and values.

Here: rules, schemas, SQL. Not here: Dagster, Stripe, SQLAlchemy, any I/O, any clock, any environment variable (a test enforces it).
"""
