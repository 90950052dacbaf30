"""When expansion has really dropped, and what to tell of it (semantics 5).

Here: the panel, the tests, the rules, severities, states over months, whose expansion is missing. Not here: rates (`domain/metrics/retention.py`),
the gate before it (`domain/alerts/gate.py`), messages (`delivery/`), the outbox (`storage/ledger/`).
"""
