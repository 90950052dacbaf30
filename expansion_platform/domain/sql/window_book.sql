-- What windows read of customers and their flows, joined once for all windows; customers are numbers, because windows group by them over and over.
-- inputs: customer_months (month, customer, segment, pricing_model, opening, closing, flow_fx),
--         movements (month, customer, flow_new, flow_expansion, flow_contraction, flow_churn)
-- grain:  month, customer

with numbers as (
    select customer, row_number() over (order by customer) as number
    from (select distinct customer from customer_months)
)

select
    customer_months.month,
    numbers.number as customer,
    customer_months.segment,
    customer_months.pricing_model,
    customer_months.opening,
    customer_months.closing,
    coalesce(flow_new, 0) as new,
    coalesce(flow_expansion, 0) as expansion,
    coalesce(flow_contraction, 0) as contraction,
    coalesce(flow_churn, 0) as churn,
    customer_months.flow_fx as fx
from customer_months
join numbers on numbers.customer = customer_months.customer
left join movements on movements.month = customer_months.month and movements.customer = customer_months.customer
