-- What each cohort pays and by how much it grew, month by month (semantics 4.1: the cohort is the month of a customer's first MRR).
-- inputs: customer_months (month, customer, first_paid_month, closing), movements (month, customer, flow_expansion)
-- grain:  month, cohort; months before the cohort's first are not there. Each expander is counted in one month only: months add up to customers.

with first_expansions as (
    select customer, min(month) as month from movements where flow_expansion > 0 group by customer
)

select
    customer_months.month,
    customer_months.first_paid_month as cohort,
    count(*) filter (where closing > 0) as paying,
    sum(closing)::bigint as closing,
    coalesce(sum(flow_expansion), 0)::bigint as expansion,
    count(first_expansions.customer) as expanders
from customer_months
left join movements on movements.month = customer_months.month and movements.customer = customer_months.customer
left join first_expansions on first_expansions.month = customer_months.month and first_expansions.customer = customer_months.customer
group by all
order by all
