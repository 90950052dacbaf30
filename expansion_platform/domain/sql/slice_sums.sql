-- Everything the monthly metrics are ratios of, per month and slice (total, and segment at opening): semantics 4.1 and 4.2.
-- inputs: months (month), customer_months (mrr/customer_months), movements (mrr/movements), policy (enterprise_acv, mid_market_acv)
-- grain:  month, dimension, value; every segment appears in every month, with zeros where nobody is in it.

with customers as (
    select
        customer_months.*,
        case
            when closing_arr >= enterprise_acv then 'enterprise'
            when closing_arr >= mid_market_acv then 'mid_market'
            else 'smb'
        end as next_segment  -- the next opening instant is this closing instant, at the same exchange rates
    from customer_months, policy
),

moved as (
    select
        customers.month,
        customers.segment,
        customers.next_segment,
        customers.opening,
        customers.closing,
        customers.closing_arr,
        coalesce(movements.dormant, false) as dormant,
        movements.dormant_reason,
        coalesce(flow_new, 0) as new,
        coalesce(flow_reactivation, 0) as reactivation,
        coalesce(flow_expansion, 0) as expansion,
        coalesce(flow_contraction, 0) as contraction,
        coalesce(flow_price, 0) as price,
        coalesce(flow_discount, 0) as discount,
        coalesce(flow_interval, 0) as interval_,
        customers.flow_fx as fx,
        coalesce(flow_churn, 0) as churn,
        coalesce(movements.expansion_gross, 0) as expansion_gross,
        coalesce(movements.contraction_gross, 0) as contraction_gross,
        -- a customer that only exchange rates raised has no movement, and counts here: any rise does
        case when customers.opening > 0 then greatest(customers.closing - customers.opening, 0) else 0 end as expansion_unadjusted,
        coalesce(expansion_seat, 0) as expansion_seat,
        coalesce(expansion_tier, 0) as expansion_tier,
        coalesce(expansion_usage, 0) as expansion_usage,
        coalesce(expansion_cross_sell, 0) as expansion_cross_sell,
        coalesce(expansion_addon, 0) as expansion_addon,
        coalesce(contraction_seat, 0) as contraction_seat,
        coalesce(contraction_tier, 0) as contraction_tier,
        coalesce(contraction_usage, 0) as contraction_usage,
        coalesce(contraction_cross_sell, 0) as contraction_cross_sell,
        coalesce(contraction_addon, 0) as contraction_addon
    from customers
    left join movements on movements.month = customers.month and movements.customer = customers.customer
),

sliced as (
    select 'total' as dimension, 'all' as value, moved.* from moved
    union all
    select 'segment' as dimension, segment as value, moved.* from moved
),

transfers as (
    select month, 'segment' as dimension, next_segment as value, sum(closing) as transfer_in, 0 as transfer_out
    from moved where next_segment <> segment and closing > 0 group by all
    union all
    select month, 'segment' as dimension, segment as value, 0 as transfer_in, sum(closing) as transfer_out
    from moved where next_segment <> segment and closing > 0 group by all
),

slices as (
    select month, dimension, value from months
    cross join (values ('total', 'all'), ('segment', 'enterprise'), ('segment', 'mid_market'), ('segment', 'smb')) as names (dimension, value)
),

sums as (
    select
        month,
        dimension,
        value,
        sum(opening) as opening,
        sum(closing) as closing,
        sum(new) as new,
        sum(reactivation) as reactivation,
        sum(expansion) as expansion,
        sum(contraction) as contraction,
        sum(price) as price,
        sum(discount) as discount,
        sum(interval_) as interval_,
        sum(fx) as fx,
        sum(churn) as churn,
        sum(expansion_gross) as expansion_gross,
        sum(contraction_gross) as contraction_gross,
        sum(expansion_unadjusted) as expansion_unadjusted,
        sum(expansion_seat) as expansion_seat,
        sum(expansion_tier) as expansion_tier,
        sum(expansion_usage) as expansion_usage,
        sum(expansion_cross_sell) as expansion_cross_sell,
        sum(expansion_addon) as expansion_addon,
        sum(contraction_seat) as contraction_seat,
        sum(contraction_tier) as contraction_tier,
        sum(contraction_usage) as contraction_usage,
        sum(contraction_cross_sell) as contraction_cross_sell,
        sum(contraction_addon) as contraction_addon,
        -- what each opening member still pays at opening exchange rates, no more than it paid (churned: nothing)
        sum(case when opening > 0 and closing > 0 then least(opening, closing - fx) else 0 end) as retained,
        sum(closing_arr) as arr,
        list_sum(list_slice(list(expansion order by expansion desc), 1, 10)) as top_ten,
        -- the two in the middle, which are one and the same for an odd number: their half is the median
        quantile_disc(expansion, 0.5) filter (where expansion > 0) - quantile_disc(-expansion, 0.5) filter (where expansion > 0) as middle_two,
        count(*) filter (where closing > 0) as payers,
        count(*) filter (where opening > 0) as members,
        count(*) filter (where expansion > 0) as expanders,
        count(*) filter (where churn < 0 and not dormant) as churned_logos,
        count(*) filter (where reactivation > 0 and not dormant) as returned_logos,
        -- dormant: paid nothing for a while, and never left
        count(*) filter (where churn < 0 and dormant) as dormant_logos,
        count(*) filter (where churn < 0 and dormant_reason = 'zero_usage') as dormant_zero_usage,
        count(*) filter (where churn < 0 and dormant_reason = 'zero_quantity') as dormant_zero_quantity,
        count(*) filter (where churn < 0 and dormant_reason = 'full_discount') as dormant_full_discount,
        sum(case when dormant then -churn else 0 end) as dormant_churn,
        count(*) filter (where reactivation > 0 and dormant) as woken_logos,
        sum(case when dormant then reactivation else 0 end) as dormant_reactivation
    from sliced
    group by month, dimension, value
)

select
    slices.month,
    slices.dimension,
    slices.value,
    coalesce(columns(sums.* exclude (month, dimension, value)), 0)::bigint,
    coalesce((select sum(transfer_in) from transfers where transfers.month = slices.month and transfers.value = slices.value), 0)::bigint as transfer_in,
    coalesce((select sum(transfer_out) from transfers where transfers.month = slices.month and transfers.value = slices.value), 0)::bigint as transfer_out
from slices
left join sums on sums.month = slices.month and sums.dimension = slices.dimension and sums.value = slices.value
order by slices.month, slices.dimension, slices.value
