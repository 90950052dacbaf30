-- Who expanded at least so many times in some months, in none since, and still pays: what `stopped_growing` says of each month.
-- inputs: windows (month, first, since, times): expansion from `first` until before `since`, and none from `since` to `month`,
--         movements (month, customer, flow_expansion), customer_months (month, customer, closing)
-- grain:  month, customer; of_all is what everybody expanded by in the months before `since`

with grown as (
    select
        windows.month,
        windows.times,
        movements.customer,
        coalesce(sum(flow_expansion) filter (where movements.month < since), 0) as flow_expansion,
        count(*) filter (where movements.month < since) as months,
        max(movements.month) filter (where movements.month < since) as last,
        bool_or(movements.month >= since) as goes_on
    from windows
    join movements on movements.month between windows.first and windows.month
    where movements.flow_expansion > 0
    group by all
),

compared as (
    select *, sum(flow_expansion) over (partition by month) as of_all from grown
),

stopped as materialized (
    select * from compared where months >= times and not goes_on
)

select stopped.month, stopped.customer, flow_expansion::bigint as flow_expansion, months, last, of_all::bigint as of_all
from customer_months
join stopped on stopped.month = customer_months.month and stopped.customer = customer_months.customer
where closing > 0
order by stopped.month, flow_expansion desc, stopped.customer
