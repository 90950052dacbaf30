"""Every table of the lake: `TABLES` lists the models in the order data flows.

Here: the list. Not here: any model (`tables` of each package): grain, columns, units, descriptions,
invariants, the single source for checks, the UI's column tables, the lake and the dictionary.
"""

from expansion_platform.domain.core.table import Table, table_name
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals import tables as signals
from expansion_platform.domain.stripe import tables as stripe

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
        signals.AccountUsage,
        signals.FeatureUsage,
        signals.UsageMonths,
        signals.Activity,
        signals.OwnerPeriods,
        signals.SupportTickets,
        signals.NpsAnswers,
        signals.SignalValues,
        billing.ItemChanges,
        billing.ItemStates,
        billing.Quarantine,
        billing.FxRates,
        mrr.CustomerMonths,
        mrr.Movements,
        mrr.Causes,
        mrr.PriceMigrations,
        mrr.CustomerSlices,
        mrr.Origins,
        mrr.FirstReported,
        metrics.Expansion,
        metrics.ExpansionByType,
        metrics.ExpansionBySegment,
        metrics.Retention,
        metrics.Expanders,
        metrics.Rollforward,
        metrics.Coverage,
        metrics.Trailing,
        metrics.ExpansionByOrigin,
        metrics.ExpansionByDimension,
        metrics.RollforwardByDimension,
        metrics.ExpansionCac,
        metrics.Benchmarks,
        mrr.SeatEvents,
        metrics.Durability,
        metrics.ExpansionThenChurn,
        metrics.CohortExpansion,
        metrics.StripeParity,
        metrics.StripeDifferences,
        metrics.Attainment,
        metrics.Diagnosis,
        metrics.Pace,
        metrics.Restatements,
        signals.Features,
        signals.Utilisation,
        signals.Health,
        signals.Readiness,
        signals.Propensity,
        signals.ChurnRisk,
        signals.ModelCard,
        signals.Candidates,
        signals.Indicators,
        signals.FeatureAdoption,
        signals.Practices,
        signals.ProgrammeOutcomes,
        signals.Conversations,
        signals.Friction,
    )
}
