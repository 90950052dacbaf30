"""Where tables and operational state live.

Here: the lake, the SQL engine, the ledger. Not here: what the tables mean.
"""
