"""What leaves the platform towards people.

Here: messages and their delivery. Not here: the decision to send one.
"""
