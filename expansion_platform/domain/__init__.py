"""What the numbers are: pure functions over frames and values.

Here: rules, models of tables, SQL, in packages by concept: `core`, `stripe`, `pricing`, `catalog`, `history`,
`mrr`, `metrics`, `signals`, `alerts`, each importing only those before it (a test enforces it). Not here:
Dagster, Stripe, SQLAlchemy, any I/O, any clock, any environment variable (a test enforces it).
"""
