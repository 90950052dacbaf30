-- The roll-forward and what rates are ratios of, for every value of every dimension (semantics 4.1, 4.2).
-- inputs: customer_months (mrr/customer_months), movements (mrr/movements),
--         customers (month, customer, cohort, currency, plan, pricing_model, tenure; null where nothing says)
-- grain:  month, dimension, value; `total` beside the dimensions, each of which sums to it. Values nobody has are left out.

with moved as (
    select
        customer_months.month,
        customer_months.customer,
        customer_months.opening,
        customer_months.closing,
        coalesce(flow_new, 0) as new,
        coalesce(flow_reactivation, 0) as reactivation,
        coalesce(flow_expansion, 0) as expansion,
        coalesce(flow_contraction, 0) as contraction,
        coalesce(flow_price, 0) as price,
        coalesce(flow_discount, 0) as discount,
        coalesce(flow_interval, 0) as interval_,
        coalesce(flow_fx, 0) as fx,
        coalesce(flow_churn, 0) as churn,
        coalesce(expansion_gross, 0) as expansion_gross,
        coalesce(expansion_unadjusted, 0) as expansion_unadjusted,
        coalesce(dormant, false) as dormant,
        'all' as total,
        coalesce(customers.cohort, 'unknown') as cohort,
        coalesce(customers.currency, 'unknown') as currency,
        coalesce(customers.plan, 'unknown') as plan,
        coalesce(customers.pricing_model, 'unknown') as pricing_model,
        coalesce(customers.tenure, 'unknown') as tenure
    from customer_months
    left join movements on movements.month = customer_months.month and movements.customer = customer_months.customer
    left join customers on customers.month = customer_months.month and customers.customer = customer_months.customer
),

sliced as (
    unpivot moved on total, cohort, currency, plan, pricing_model, tenure into name dimension value value
)

select
    month,
    dimension,
    value,
    sum(opening)::bigint as opening,
    sum(new)::bigint as new,
    sum(reactivation)::bigint as reactivation,
    sum(expansion)::bigint as expansion,
    sum(contraction)::bigint as contraction,
    sum(price)::bigint as price,
    sum(discount)::bigint as discount,
    sum(interval_)::bigint as interval_,
    sum(fx)::bigint as fx,
    sum(churn)::bigint as churn,
    sum(closing)::bigint as closing,
    sum(expansion_gross)::bigint as expansion_gross,
    sum(expansion_unadjusted)::bigint as expansion_unadjusted,
    sum(case when opening > 0 and closing > 0 then least(opening, closing - fx) else 0 end)::bigint as retained,
    count(*) filter (where opening > 0) as members,
    count(*) filter (where expansion > 0) as expanders,
    count(*) filter (where churn < 0 and not dormant) as churned_logos
from sliced
group by all
order by all
