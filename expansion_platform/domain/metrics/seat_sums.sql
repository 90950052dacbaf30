-- Seat events by month, month of purchase and slice; those that are pending together under the month itself (semantics 4.5).
-- inputs: events (mrr/seat_events), slices (dimension, value)
-- grain:  month, expanded_month, dimension, value; slices without events are left out

select
    month,
    case when status = 'pending' then month else expanded_month end as expanded_month,
    slices.dimension,
    slices.value,
    sum(amount)::bigint as amount,
    sum(kept)::bigint as kept,
    count(*) as events,
    count(distinct customer) as expanders,
    count(*) filter (where status = 'durable') as events_durable,
    count(*) filter (where status = 'partial') as events_partial,
    count(*) filter (where status = 'reverted') as events_reverted,
    coalesce(sum(amount) filter (where status = 'durable'), 0)::bigint as amount_durable,
    coalesce(sum(amount) filter (where status = 'partial'), 0)::bigint as amount_partial,
    coalesce(sum(amount) filter (where status = 'reverted'), 0)::bigint as amount_reverted
from events
join slices on slices.dimension = 'total' or slices.value = events.segment
group by all
order by all
