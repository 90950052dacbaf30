-- What the UI plots of the customers of each month: what they pay, how many do, what moved.
-- inputs: customer_months (month, closing, flow_fx), movements (month and the four flows)
-- grain:  month

select
    month,
    coalesce(sum(closing), 0)::bigint as closing,
    count(*) filter (where closing > 0) as paying,
    coalesce(sum(flow_fx), 0)::bigint as flow_fx,
    count(moved) as moved,
    coalesce(sum(flow_new), 0)::bigint as flow_new,
    coalesce(sum(flow_expansion), 0)::bigint as flow_expansion,
    coalesce(sum(flow_contraction), 0)::bigint as flow_contraction,
    coalesce(sum(flow_churn), 0)::bigint as flow_churn
from (
    select month, closing, flow_fx from customer_months
    union all by name
    select month, true as moved, flow_new, flow_expansion, flow_contraction, flow_churn from movements
)
group by month
order by month
