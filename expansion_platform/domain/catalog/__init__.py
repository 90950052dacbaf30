"""What people decide and give.

The catalog file, plans, suggestions, targets, tables users give, and what a rule sees of it all.
"""
