-- What customers pay and what moved, for every pair of what a customer is for a month and at the next opening (semantics 4.1, 4.2).
-- inputs: customer_slices (month, customer, slices_json, next_slices_json), customer_months (month, customer, opening, closing, flow_fx),
--         movements (month, customer, dormant, flows, expansion_gross)
-- grain:  month, slices_json, next_slices_json: few pairs stand for many customers.

with moved as (
    select
        customer_slices.month,
        slices_json,
        next_slices_json,
        customer_months.opening,
        customer_months.closing,
        customer_months.flow_fx as fx,
        flow_new as new,
        flow_reactivation as reactivation,
        flow_expansion as expansion,
        flow_contraction as contraction,
        flow_price as price,
        flow_discount as discount,
        flow_interval as interval_,
        flow_churn as churn,
        expansion_gross,
        dormant
    from customer_slices
    join customer_months on customer_months.month = customer_slices.month and customer_months.customer = customer_slices.customer
    left join movements on movements.month = customer_slices.month and movements.customer = customer_slices.customer
)

select
    month,
    slices_json,
    next_slices_json,
    coalesce(sum(opening), 0)::bigint as opening,
    coalesce(sum(new), 0)::bigint as new,
    coalesce(sum(reactivation), 0)::bigint as reactivation,
    coalesce(sum(expansion), 0)::bigint as expansion,
    coalesce(sum(contraction), 0)::bigint as contraction,
    coalesce(sum(price), 0)::bigint as price,
    coalesce(sum(discount), 0)::bigint as discount,
    coalesce(sum(interval_), 0)::bigint as interval_,
    coalesce(sum(fx), 0)::bigint as fx,
    coalesce(sum(churn), 0)::bigint as churn,
    coalesce(sum(closing), 0)::bigint as closing,
    coalesce(sum(expansion_gross), 0)::bigint as expansion_gross,
    -- a customer that only exchange rates raised has no movement, and counts here: any rise does
    sum(case when opening > 0 then greatest(closing - opening, 0) else 0 end)::bigint as expansion_unadjusted,
    sum(case when opening > 0 and closing > 0 then least(opening, closing - fx) else 0 end)::bigint as retained,
    count(*) filter (where opening > 0) as members,
    count(*) filter (where expansion > 0) as expanders,
    count(*) filter (where churn < 0 and not dormant) as churned_logos,
    count(*) filter (where churn < 0 and dormant) as dormant_logos
from moved
group by all
