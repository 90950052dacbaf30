"""Messages of alerts and failures to people, and their delivery.

Here: texts, grouping, outbox, channels. Not here: the decision to send one (`domain/alerts/`), what people
ask for (`reports/`).
"""
