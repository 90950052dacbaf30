-- The roll-forward and what rates are ratios of, for every value of every dimension (semantics 4.1, 4.2).
-- inputs: months (month), sums (slice_pair_sums.sql), pairs (slices_json, next_slices_json, dimension, value, next_value: the slice at the next
--         opening), a row per pair and dimension
-- grain:  month, dimension, value; `total` beside the dimensions, each of which sums to it. Every month has its total, with zeros where nobody pays;
--         values of the dimensions that nobody has or enters are left out.

with sliced as (
    select 'total' as dimension, 'all' as value, 'all' as next_value, sums.* exclude (slices_json, next_slices_json) from sums
    union all
    select pairs.dimension, pairs.value, pairs.next_value, sums.* exclude (slices_json, next_slices_json)
    from sums
    join pairs on pairs.slices_json = sums.slices_json and pairs.next_slices_json = sums.next_slices_json
),

slices as (
    select month, 'total' as dimension, 'all' as value from months
    union
    select month, dimension, value from sliced
    union
    select month, dimension, next_value as value from sliced where next_value <> value and closing > 0
),

valued as (
    select
        month,
        dimension,
        value,
        sum(columns(* exclude (month, dimension, value, next_value))),
        sum(case when next_value <> value then closing else 0 end) as transfer_out
    from sliced
    group by month, dimension, value
),

entered as (
    select month, dimension, next_value as value, sum(closing) as transfer_in
    from sliced
    where next_value <> value and closing > 0
    group by month, dimension, next_value
)

select
    slices.month,
    slices.dimension,
    slices.value,
    coalesce(columns(valued.* exclude (month, dimension, value)), 0)::bigint,
    coalesce(entered.transfer_in, 0)::bigint as transfer_in
from slices
left join valued using (month, dimension, value)
left join entered using (month, dimension, value)
order by 1, 2, 3
