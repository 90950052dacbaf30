"""What the user's CRM and support tool know of customers."""

from expansion_platform.sources.crm.collected import Facts, Unmatched
from expansion_platform.sources.crm.facts import SOURCES, read_facts

__all__ = ["SOURCES", "Facts", "Unmatched", "read_facts"]
