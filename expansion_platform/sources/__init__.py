"""What is read from outside, each yielding rows of a declared schema.

Here: adapters. Not here: Dagster, the lake, or any rule about what a number means.
"""
