-- Everything the monthly metrics are ratios of, per month and slice (total, and segment at opening): semantics 4.1 and 4.2.
-- inputs: months (month), customer_months (mrr/customer_months), movements (mrr/movements), policy (enterprise_acv, mid_market_acv)
-- grain:  month, dimension, value; every segment appears in every month, with zeros where nobody is in it.
-- Customers are summed by month and segment, and so are movements, which name the customer's segment: two passes over files, and no join.

with customers as (
    select
        month,
        segment,
        case
            when closing_arr >= enterprise_acv then 'enterprise'
            when closing_arr >= mid_market_acv then 'mid_market'
            else 'smb'
        end as next_segment,  -- the next opening instant is this closing instant, at the same exchange rates
        sum(opening) as opening,
        sum(closing) as closing,
        sum(flow_fx) as fx,
        sum(closing_arr) as arr,
        -- a customer that only exchange rates raised has no movement, and counts here: any rise does
        sum(case when opening > 0 then greatest(closing - opening, 0) else 0 end) as expansion_unadjusted,
        -- what each opening member still pays at opening exchange rates, no more than it paid (churned: nothing)
        sum(case when opening > 0 and closing > 0 then least(opening, closing - flow_fx) else 0 end) as retained,
        count(*) filter (where closing > 0) as payers,
        count(*) filter (where opening > 0) as members
    from customer_months, policy
    group by all
),

opening_and_closing as (
    select month, segment, sum(columns(* exclude (month, segment, next_segment)))
    from customers
    group by grouping sets ((month), (month, segment))
),

moved as (
    select
        month,
        segment,
        sum(flow_new) as new,
        sum(flow_reactivation) as reactivation,
        sum(flow_expansion) as expansion,
        sum(flow_contraction) as contraction,
        sum(flow_price) as price,
        sum(flow_discount) as discount,
        sum(flow_interval) as interval_,
        sum(flow_churn) as churn,
        sum(expansion_gross) as expansion_gross,
        sum(contraction_gross) as contraction_gross,
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
        list_sum(max(flow_expansion, 10)) as top_ten,
        -- the two in the middle, which are one and the same for an odd number: their half is the median
        quantile_disc(flow_expansion, 0.5) filter (where flow_expansion > 0)
        - quantile_disc(-flow_expansion, 0.5) filter (where flow_expansion > 0) as middle_two,
        count(*) filter (where flow_expansion > 0) as expanders,
        count(*) filter (where flow_churn < 0 and not dormant) as churned_logos,
        count(*) filter (where flow_reactivation > 0 and not dormant) as returned_logos,
        -- dormant: paid nothing for a while, and never left
        count(*) filter (where flow_churn < 0 and dormant) as dormant_logos,
        count(*) filter (where flow_churn < 0 and dormant_reason = 'zero_usage') as dormant_zero_usage,
        count(*) filter (where flow_churn < 0 and dormant_reason = 'zero_quantity') as dormant_zero_quantity,
        count(*) filter (where flow_churn < 0 and dormant_reason = 'full_discount') as dormant_full_discount,
        sum(case when dormant then -flow_churn else 0 end) as dormant_churn,
        count(*) filter (where flow_reactivation > 0 and dormant) as woken_logos,
        sum(case when dormant then flow_reactivation else 0 end) as dormant_reactivation
    from movements
    group by grouping sets ((month), (month, segment))
),

left_segment as (
    select month, segment, sum(closing) as transfer_out from customers where next_segment <> segment group by all
),

entered as (
    select month, next_segment as segment, sum(closing) as transfer_in from customers where next_segment <> segment group by all
),

slices as (
    select * from months
    cross join (
        values ('total', 'all', null), ('segment', 'enterprise', 'enterprise'), ('segment', 'mid_market', 'mid_market'), ('segment', 'smb', 'smb')
    ) as names (dimension, value, segment)
)

select
    slices.month,
    slices.dimension,
    slices.value,
    coalesce(columns(opening_and_closing.* exclude (month, segment)), 0)::bigint,
    coalesce(columns(moved.* exclude (month, segment)), 0)::bigint,
    coalesce(entered.transfer_in, 0)::bigint as transfer_in,
    coalesce(left_segment.transfer_out, 0)::bigint as transfer_out
from slices
left join opening_and_closing on opening_and_closing.month = slices.month and opening_and_closing.segment is not distinct from slices.segment
left join moved on moved.month = slices.month and moved.segment is not distinct from slices.segment
left join entered on entered.month = slices.month and entered.segment = slices.segment
left join left_segment on left_segment.month = slices.month and left_segment.segment = slices.segment
order by slices.month, slices.dimension, slices.value
