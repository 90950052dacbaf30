-- What windows read of customers and their flows, joined once for all windows. Months and customers are numbers, because windows compare them a lot.
-- inputs: customer_months (month, customer, segment, pricing_model, opening, closing, flow_fx),
--         movements (month, customer, flow_new, flow_expansion, flow_contraction, flow_churn)
-- grain:  month (those since the year 0), customer

with numbers as (
    select customer, row_number() over (order by customer)::integer as number
    from (select distinct customer from customer_months)
),

calendar as (
    select month, left(month, 4)::integer * 12 + right(month, 2)::integer - 1 as number
    from (select distinct month from customer_months)
)

select
    calendar.number as month,
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
join calendar on calendar.month = customer_months.month
join numbers on numbers.customer = customer_months.customer
left join movements on movements.month = customer_months.month and movements.customer = customer_months.customer
