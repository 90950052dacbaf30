"""The declarations of the computed tables.

What each reads, which rule makes it, what must hold before it is published, what the UI plots.

Here: one module a floor, and all of them by name. Not here: rules (`domain/`), what is made of a declaration
(`engine/`).
"""
