-- What three months left of an expansion, and how much of it is no seat surge, or one that turned out durable (semantics 4.5).
-- inputs: spans (month, expanded_month), slices (dimension, value), customer_months (month, customer, segment, opening),
--         movements (month, customer, segment, movement, flow_expansion, flags_json), causes (month, customer, cause, amount),
--         organic (cause), events (mrr/seat_events), durable (numerator, denominator: the share of its seats that a durable surge keeps)
-- grain:  month, expanded_month, dimension, value; an expanded_month equal to month is the newest expansion, of which nothing is lost yet.

with expanded as (
    select
        spans.month,
        spans.expanded_month,
        movements.customer,
        movements.segment,
        movements.flow_expansion as expansion,
        contains(movements.flags_json, '"seat_surge"') as surge
    from spans
    join movements on movements.month = spans.expanded_month
    where movements.flow_expansion > 0
),

changed as (
    select expanded.month, expanded.expanded_month, expanded.customer, sum(later.amount) as organic
    from expanded
    join (
        select month, customer, sum(amount) as amount from causes semi join organic on organic.cause = causes.cause group by all
    ) as later on later.customer = expanded.customer and later.month > expanded.expanded_month and later.month <= expanded.month
    group by all
),

departed as (
    select distinct expanded.month, expanded.expanded_month, expanded.customer
    from expanded
    join (select month, customer from movements where movement = 'churn') as later
        on later.customer = expanded.customer and later.month > expanded.expanded_month and later.month <= expanded.month
),

lasting_surges as (
    select month, expanded_month, customer
    from events, durable
    where surge and status <> 'pending'
    group by month, expanded_month, customer, numerator, denominator
    having sum(kept) * denominator >= sum(amount) * numerator
),

kept as (
    select
        expanded.*,
        surge and lasting_surges.customer is null as surge_only,
        case
            when departed.customer is not null then 0
            else least(expansion, greatest(0, expansion + coalesce(changed.organic, 0)))
        end as durable
    from expanded
    left join changed using (month, expanded_month, customer)
    left join departed using (month, expanded_month, customer)
    left join lasting_surges using (month, expanded_month, customer)
),

opening_members as materialized (
    select month, segment, sum(opening) as opening, count(*) as members from customer_months where opening > 0 group by all
),

opened as (
    select spans.month, spans.expanded_month, slices.dimension, slices.value, sum(opening) as opening, sum(members) as members
    from spans
    join opening_members on opening_members.month = spans.expanded_month
    join slices on slices.dimension = 'total' or slices.value = opening_members.segment
    group by all
),

grown as (
    select month, expanded_month, slices.dimension, slices.value,
        sum(expansion) as expansion, sum(durable) as durable, sum(expansion) filter (where not surge_only) as core,
        sum(expansion) filter (where surge) as surged, count(*) as expanders
    from kept
    join slices on slices.dimension = 'total' or slices.value = kept.segment
    group by all
)

select
    spans.month,
    spans.expanded_month,
    slices.dimension,
    slices.value,
    coalesce(opening, 0)::bigint as opening,
    coalesce(members, 0)::bigint as members,
    coalesce(expansion, 0)::bigint as expansion,
    coalesce(durable, 0)::bigint as durable,
    coalesce(core, 0)::bigint as core,
    coalesce(surged, 0)::bigint as surged,
    coalesce(expanders, 0)::bigint as expanders
from spans
cross join slices
left join opened using (month, expanded_month, dimension, value)
left join grown using (month, expanded_month, dimension, value)
order by all
