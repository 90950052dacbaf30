-- What trailing metrics are made of: the sums of each month of windows that end with the same month (semantics 4.1, 4.2).
-- inputs: windows (length, first, last), slices (dimension, value), book (sql/window_book.sql)
-- grain:  length, month, dimension, value; months in which nobody paid are left out.
-- A customer keeps one segment for the whole window: that of its first month in it, so that nobody changes slice inside a sum.

with moved as (
    select windows.length, windows.first, book.*
    from windows
    join book on book.month between windows.first and windows.last
),

fixed as (
    select
        length,
        customer,
        arg_min(segment, month) as segment,
        bool_or(month = first and opening > 0) as member,
        min(month) filter (where expansion > 0) as first_expansion
    from moved
    group by length, customer
),

sliced as (
    select
        moved.*,
        fixed.segment as window_segment,
        fixed.member,
        fixed.first_expansion
    from moved
    join fixed on fixed.length = moved.length and fixed.customer = moved.customer
)

select
    sliced.length,
    sliced.month,
    slices.dimension,
    slices.value,
    sum(opening)::bigint as opening,
    sum(new)::bigint as new,
    sum(expansion)::bigint as expansion,
    sum(contraction)::bigint as contraction,
    sum(churn)::bigint as churn,
    coalesce(sum(expansion) filter (where member), 0)::bigint as member_expansion,
    count(*) filter (where opening > 0) as members,
    count(*) filter (where month = first_expansion) as expanders -- each customer in one month only: months add up to customers
from sliced
join slices on slices.dimension = 'total' or slices.value = sliced.window_segment
group by all
order by all
