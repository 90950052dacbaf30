-- Who expanded at least so many times in some months, in none since, and still pays: what `stopped_growing` says of each month.
-- inputs: windows (month, first, since, times): expansion from `first` until before `since`, and none from `since` to `month`,
--         movements (month, customer, flow_expansion), customer_months (month, customer, closing)
-- grain:  month, customer; of_all is what everybody expanded by in the months before `since`

with moved as (
    select windows.*, movements.customer, movements.month as moved_in, flow_expansion
    from windows
    join movements on movements.month between windows.first and windows.month
    where flow_expansion > 0
),

everybody as (
    select month, sum(flow_expansion) as of_all from moved where moved_in < since group by month
),

stopped as materialized (
    select month, customer, sum(flow_expansion) as flow_expansion, count(*) as months, max(moved_in) as last
    from moved
    group by month, customer, since, times
    having count(*) >= times and max(moved_in) < since
)

select stopped.month, stopped.customer, flow_expansion::bigint as flow_expansion, months, last, of_all::bigint as of_all
from customer_months
join stopped on stopped.month = customer_months.month and stopped.customer = customer_months.customer
join everybody on everybody.month = stopped.month
where closing > 0
order by stopped.month, flow_expansion desc, stopped.customer
