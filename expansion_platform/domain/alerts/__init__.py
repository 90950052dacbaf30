"""When expansion has really dropped, and what to report of it (semantics 5).

Here: the gate, the panel, the rules, severities, states over months, whose expansion is missing. Not here:
rates (`domain/metrics/retention.py`), messages (`alerting/`), the outbox (`storage/ledger/`).
"""
