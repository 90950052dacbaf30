"""What people read: months, restatements, reconciliation, the pace, the doctor's findings.

A month is one customer's, or the whole account's.

Here: texts and the figures in them. Not here: computing them (`domain/`), alerts (`alerting/`).
"""
