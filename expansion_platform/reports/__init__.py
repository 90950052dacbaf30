"""What people read: a customer's month, a month, restatements, reconciliation, the pace, the doctor's findings.

Here: texts and the figures in them. Not here: computing them (`domain/`), alerts (`alerting/`).
"""
