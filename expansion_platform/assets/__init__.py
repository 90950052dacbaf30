"""Dagster wiring, one module a floor: read, call the domain, validate, commit, describe.

Here: assets and their metadata. Not here: rules (`domain/`), SQL, HTTP.
"""
