"""Stripe data that a warehouse has already.

Fivetran's, Airbyte's, or Stripe Data Pipeline's tables, read through SQLAlchemy.

Here: from tables to the same rows of `stripe/*` as the API gives. Not here: storing them
(`ingestion/importing.py`).
"""
