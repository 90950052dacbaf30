-- What windows read of movements; months are numbers.
-- inputs: movements (month, customer, flow_new, flow_expansion, flow_contraction, flow_churn), months (month, number)
-- grain:  month, customer; in the order of months.

select
    months.number as month,
    movements.customer,
    flow_new as new,
    flow_expansion as expansion,
    flow_contraction as contraction,
    flow_churn as churn
from movements
join months on months.month = movements.month
where flow_new <> 0 or flow_expansion <> 0 or flow_contraction <> 0 or flow_churn <> 0
order by months.number
