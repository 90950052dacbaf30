"""Floor `mrr`: one model a table.

Here: the models by name. Not here: any rule. All money is int64 minor units of the reporting currency;
`opening` is at the opening instant's exchange rates, `closing` at the closing instant's (semantics 1.4).
"""

from expansion_platform.domain.mrr.tables.causes import Causes, PriceMigrations
from expansion_platform.domain.mrr.tables.customer_months import CustomerMonths, CustomerSlices
from expansion_platform.domain.mrr.tables.first_reported import FirstReported
from expansion_platform.domain.mrr.tables.movements import Movements
from expansion_platform.domain.mrr.tables.origins import Origins
from expansion_platform.domain.mrr.tables.seat_events import SeatEvents

__all__ = [
    "Causes",
    "CustomerMonths",
    "CustomerSlices",
    "FirstReported",
    "Movements",
    "Origins",
    "PriceMigrations",
    "SeatEvents",
]
