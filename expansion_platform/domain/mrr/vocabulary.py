"""The words of customer months: segments, movements, flows, causes, origins, dimensions (semantics 2 to 4).

Here: the lists that rules and tables share. Not here: what any of them means for an amount.
"""

from __future__ import annotations

SEGMENTS = ["enterprise", "mid_market", "smb"]
PRICING_MODELS = ["usage", "seat", "flat", "hybrid"]
MOVEMENTS = ["new", "reactivation", "churn", "continuing"]
REASONS = ["canceled", "deleted", "downgrade_to_free", "paused", "trialing", "unpaid"]
RETURNS = ["recovered", "resubscribed", "resumed", "trial_converted", "upgrade_from_free"]
DORMANT_REASONS = ["full_discount", "zero_quantity", "zero_usage"]
LABELS = ["new", "reactivation", "churn", "expansion", "contraction", "repriced", "fx", "flat"]
CAUSES = ["seat", "tier", "usage", "cross_sell", "addon", "price", "discount", "interval", "fx"]
ORGANIC = CAUSES[:5]
FLOWS = ["new", "reactivation", "expansion", "contraction", "price", "discount", "interval", "fx", "churn"]
INITIATORS = ["sales", "csm", "self_serve", "product", "api"]
"""What `initiated_by` may say."""
ORIGINS = [*INITIATORS, "touched", "unknown"]
MOTIONS = {
    "product_led": ["self_serve", "product"],
    "sales_driven": ["sales", "csm"],
    "api": ["api"],
    "touched": ["touched"],
    "unknown": ["unknown"],
}
DIMENSIONS = ["cohort", "country", "currency", "plan", "pricing_model", "tenure"]
"""Dimensions every company has; the attributes its user maps are further ones."""
