"""Product usage, aggregated on the provider's side.

Here: one adapter a provider. Not here: scores made from usage.
"""
