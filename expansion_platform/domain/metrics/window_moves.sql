-- What windows read of movements; months and customers are numbers.
-- inputs: movements (month, customer, flow_new, flow_expansion, flow_contraction, flow_churn), customers (customer, number), months (month, number)
-- grain:  month, customer, in this order; before is the month of the customer's last expansion before it, -1 where there was none.

select
    months.number as month,
    customers.number as customer,
    flow_new as new,
    flow_expansion as expansion,
    flow_contraction as contraction,
    flow_churn as churn,
    coalesce(
        max(case when flow_expansion > 0 then months.number end) over (
            partition by customers.number order by months.number rows between unbounded preceding and 1 preceding
        ),
        -1
    ) as before
from movements
join months on months.month = movements.month
join customers on customers.customer = movements.customer
where flow_new <> 0 or flow_expansion <> 0 or flow_contraction <> 0 or flow_churn <> 0
order by all
