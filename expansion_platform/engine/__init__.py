"""What turns the declarations of `tables/` into Dagster assets.

Here: fingerprints, pruned reads, audits, commits, reports. Not here: a table's declaration (`tables/`) or its
rule (`domain/`).
"""
