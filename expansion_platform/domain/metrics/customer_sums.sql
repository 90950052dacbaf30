-- What customers pay at both ends of each month and what moved, for the identities of tables that are sums of it.
-- inputs: customer_months (month, opening, closing, flow_fx),
--         movements (month and every flow but that of exchange rates)
-- grain:  month; a month that has rows of one table alone has zeros for the other.

select
    month,
    coalesce(sum(opening), 0)::bigint as opening,
    coalesce(sum(closing), 0)::bigint as closing,
    coalesce(sum(flow_fx), 0)::bigint as flow_fx,
    coalesce(sum(flow_new), 0)::bigint as flow_new,
    coalesce(sum(flow_reactivation), 0)::bigint as flow_reactivation,
    coalesce(sum(flow_expansion), 0)::bigint as flow_expansion,
    coalesce(sum(flow_contraction), 0)::bigint as flow_contraction,
    coalesce(sum(flow_price), 0)::bigint as flow_price,
    coalesce(sum(flow_discount), 0)::bigint as flow_discount,
    coalesce(sum(flow_interval), 0)::bigint as flow_interval,
    coalesce(sum(flow_churn), 0)::bigint as flow_churn
from (
    select month, opening, closing, flow_fx from customer_months
    union all by name
    select month, flow_new, flow_reactivation, flow_expansion, flow_contraction, flow_price, flow_discount, flow_interval, flow_churn
    from movements
)
group by month
order by month
