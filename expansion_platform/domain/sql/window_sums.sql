-- What trailing metrics are made of: the sums of each month of windows that end with the same month (semantics 4.1, 4.2).
-- inputs: windows (length, first, last), slices (dimension, value), book (sql/window_book.sql)
-- grain:  length, month, dimension, value; months in which nobody paid are left out.
-- A customer keeps one segment and pricing model for the whole window: those of its first month in it, so that nobody changes slice inside a sum.

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
        arg_min(pricing_model, month) as pricing_model,
        bool_or(month = first and opening > 0) as member,
        min(month) filter (where expansion > 0) as first_expansion
    from moved
    group by length, customer
),

cells as (
    select
        moved.length,
        moved.month,
        fixed.segment,
        fixed.pricing_model,
        sum(opening) as opening,
        sum(new) as new,
        sum(expansion) as expansion,
        sum(contraction) as contraction,
        sum(churn) as churn,
        coalesce(sum(expansion) filter (where member), 0) as member_expansion,
        count(*) filter (where opening > 0) as members,
        count(*) filter (where month = first_expansion) as expanders -- each customer in one month only: months add up to customers
    from moved
    join fixed on fixed.length = moved.length and fixed.customer = moved.customer
    group by all
)

select
    cells.length,
    cells.month,
    slices.dimension,
    slices.value,
    sum(columns(cells.* exclude (length, month, segment, pricing_model)))::bigint
from cells
join slices on slices.dimension = 'total'
    or (slices.dimension = 'segment' and slices.value = cells.segment)
    or (slices.dimension = 'pricing_model' and slices.value = cells.pricing_model)
group by all
order by all
