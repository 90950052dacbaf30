"""One Pandera model a table, by floor; `TABLES` lists them in the order data flows.

Here: grain, columns, units, descriptions, invariants: the single source for checks, the UI's column tables, the lake and the dictionary.
Not here: how a table is computed.
"""

from expansion_platform.domain.schemas import analytics, billing, lasting, metrics, mrr, origin, parity, reading, stripe
from expansion_platform.domain.schemas.base import Table, table_name

__all__ = ["TABLES", "Table", "table_name"]

TABLES: dict[str, type[Table]] = {
    table_name(model): model
    for model in (
        stripe.Customers,
        stripe.Products,
        stripe.Prices,
        stripe.Coupons,
        stripe.TaxRates,
        stripe.Subscriptions,
        stripe.SubscriptionItems,
        stripe.SubscriptionSchedules,
        stripe.Invoices,
        stripe.InvoiceLines,
        stripe.InvoiceItems,
        stripe.CreditNotes,
        stripe.Events,
        stripe.MeterUsage,
        analytics.FeatureUsage,
        billing.ItemChanges,
        billing.ItemStates,
        billing.Quarantine,
        billing.FxRates,
        mrr.CustomerMonths,
        mrr.Movements,
        mrr.Causes,
        mrr.PriceMigrations,
        mrr.CustomerSlices,
        origin.Origins,
        mrr.FirstReported,
        metrics.Expansion,
        metrics.ExpansionByType,
        metrics.ExpansionBySegment,
        metrics.Retention,
        metrics.Expanders,
        metrics.Rollforward,
        metrics.Coverage,
        metrics.Trailing,
        origin.ExpansionByOrigin,
        metrics.ExpansionByDimension,
        metrics.RollforwardByDimension,
        metrics.ExpansionCac,
        metrics.Benchmarks,
        lasting.SeatEvents,
        lasting.Durability,
        lasting.ExpansionThenChurn,
        lasting.CohortExpansion,
        parity.StripeParity,
        parity.StripeDifferences,
        reading.Attainment,
        reading.Diagnosis,
        reading.Pace,
        metrics.Restatements,
    )
}
