-- The roll-forward and what rates are ratios of, for every value of every dimension (semantics 4.1, 4.2).
-- inputs: months (month), customer_months (mrr/customer_months, and `pair` of slices that the customer is in), movements (mrr/movements),
--         pairs (pair, dimension, value, next_value: the slice at the next opening), a row per pair and dimension
-- grain:  month, dimension, value; `total` beside the dimensions, each of which sums to it. Every month has its total, with zeros where nobody pays;
--         values of the dimensions that nobody has or enters are left out.
-- Customers are summed by month and pair first: few pairs stand for many customers.

with moved as (
    select
        customer_months.month,
        customer_months.pair,
        customer_months.opening,
        customer_months.closing,
        coalesce(flow_new, 0) as new,
        coalesce(flow_reactivation, 0) as reactivation,
        coalesce(flow_expansion, 0) as expansion,
        coalesce(flow_contraction, 0) as contraction,
        coalesce(flow_price, 0) as price,
        coalesce(flow_discount, 0) as discount,
        coalesce(flow_interval, 0) as interval_,
        customer_months.flow_fx as fx,
        coalesce(flow_churn, 0) as churn,
        coalesce(expansion_gross, 0) as expansion_gross,
        coalesce(dormant, false) as dormant
    from customer_months
    left join movements on movements.month = customer_months.month and movements.customer = customer_months.customer
),

paired as (
    select
        month,
        pair,
        sum(opening) as opening,
        sum(new) as new,
        sum(reactivation) as reactivation,
        sum(expansion) as expansion,
        sum(contraction) as contraction,
        sum(price) as price,
        sum(discount) as discount,
        sum(interval_) as interval_,
        sum(fx) as fx,
        sum(churn) as churn,
        sum(closing) as closing,
        sum(expansion_gross) as expansion_gross,
        -- a customer that only exchange rates raised has no movement, and counts here: any rise does
        sum(case when opening > 0 then greatest(closing - opening, 0) else 0 end) as expansion_unadjusted,
        sum(case when opening > 0 and closing > 0 then least(opening, closing - fx) else 0 end) as retained,
        count(*) filter (where opening > 0) as members,
        count(*) filter (where expansion > 0) as expanders,
        count(*) filter (where churn < 0 and not dormant) as churned_logos,
        count(*) filter (where churn < 0 and dormant) as dormant_logos
    from moved
    group by month, pair
),

sliced as (
    select 'total' as dimension, 'all' as value, 'all' as next_value, paired.* from paired
    union all
    select pairs.dimension, pairs.value, pairs.next_value, paired.*
    from paired
    inner join pairs on pairs.pair = paired.pair
),

slices as (
    select month, 'total' as dimension, 'all' as value from months
    union
    select month, dimension, value from sliced
    union
    select month, dimension, next_value as value from sliced where next_value <> value and closing > 0
),

sums as (
    select
        month,
        dimension,
        value,
        sum(columns(* exclude (month, dimension, value, next_value, pair))),
        sum(case when next_value <> value then closing else 0 end) as transfer_out
    from sliced
    group by month, dimension, value
),

entered as (
    select month, dimension, next_value as value, sum(closing) as transfer_in
    from sliced
    where next_value <> value and closing > 0
    group by month, dimension, next_value
)

select
    slices.month,
    slices.dimension,
    slices.value,
    coalesce(columns(sums.* exclude (month, dimension, value)), 0)::bigint,
    coalesce(entered.transfer_in, 0)::bigint as transfer_in
from slices
left join sums using (month, dimension, value)
left join entered using (month, dimension, value)
order by 1, 2, 3
