-- How many customers paid at the opening of each month, and how many of them grew (semantics 4: used for the quality column).
-- inputs: months (month), customer_months (month, opening), movements (month, flow_expansion)
-- grain:  month

with opening_members as (
    select month, count(*) as members from customer_months where opening > 0 group by month
),

grown as (
    select month, count(*) as expanders from movements where flow_expansion > 0 group by month
)

select months.month, coalesce(members, 0) as members, coalesce(expanders, 0) as expanders
from months
left join opening_members on opening_members.month = months.month
left join grown on grown.month = months.month
order by months.month
