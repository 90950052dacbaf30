"""From sources into the lake: pulls, imports, usage, and whose history changed with them.

Here: what is read when, committed in which order, and noted so that a killed run goes on. Not here: sources
(`sources/`), the steps that run this (`tables/`).
"""
