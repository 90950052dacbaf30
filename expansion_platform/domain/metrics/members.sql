-- How many customers paid at the opening of each month, and how many of them grew (semantics 4: what quality is told by).
-- inputs: months (month), customer_months (month, opening), movements (month, flow_expansion)
-- grain:  month

with held as (
    select month, count(*) as members from customer_months where opening > 0 group by month
),

grown as (
    select month, count(*) as expanders from movements where flow_expansion > 0 group by month
)

select months.month, coalesce(members, 0) as members, coalesce(expanders, 0) as expanders
from months
left join held on held.month = months.month
left join grown on grown.month = months.month
order by months.month
