"""What tells people that something happened: messages of alerts and failures, and their delivery.

Here: texts, grouping, outbox, channels. Not here: the decision to send one (`domain/alerts/`), what people
ask for (`reports/`).
"""
