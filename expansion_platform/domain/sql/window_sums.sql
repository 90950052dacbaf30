-- What trailing metrics are made of: the sums of each month of each window (semantics 4.1, 4.2).
-- inputs: windows (length, first, last), slices (dimension, value), book (sql/window_book.sql); months are numbers
-- grain:  length, last, month, dimension, value; months in which nobody paid are left out.
-- A customer keeps one segment and pricing model for the whole window: those of its first month in it, so that nobody changes slice inside a sum.
-- What a customer is in a window depends on the window's first month only, and seldom changes from one to the next. So every customer month is
-- added up once for each span of first months in which its customer is the same, and the sums of spans make those of windows.

with longest as (
    select max(length) - 1 as back from windows
),

marked as (
    select
        customer,
        month,
        segment,
        pricing_model,
        opening > 0 as member,
        lag(month) over of_customer as before,
        before is distinct from month - 1
            or lag(segment) over of_customer is distinct from segment
            or lag(pricing_model) over of_customer is distinct from pricing_model
            or (lag(opening) over of_customer > 0) is distinct from member as begins
    from book
    window of_customer as (partition by customer order by month)
),

begun as (
    select *, coalesce(lead(before) over (partition by customer order by month), month + 1000000) as last
    from marked
    where begins
),

spans as (
    select customer, segment, pricing_model, member, month as first, last from begun
    union all by name -- first months in which it was not there: it came later
    select customer, segment, pricing_model, false as member, coalesce(before + 1, 0) as first, month - 1 as last
    from begun
    where before is distinct from month - 1
),

grown as (
    select customer, month, coalesce(lag(month) over (partition by customer order by month), -1) as before
    from book
    where expansion > 0
),

parts as (
    select
        book.month,
        segment,
        pricing_model,
        greatest(spans.first, book.month - back) as first_from,
        least(spans.last, book.month) as first_to,
        sum(opening) as opening,
        sum(new) as new,
        sum(expansion) as expansion,
        sum(contraction) as contraction,
        sum(churn) as churn,
        coalesce(sum(expansion) filter (where member), 0) as member_expansion,
        count(*) filter (where opening > 0) as members,
        0 as expanders
    from (select month, customer, opening, new, expansion, contraction, churn from book) as book
    cross join longest
    join spans on spans.customer = book.customer and spans.first <= book.month and spans.last >= book.month - back
    group by all
    union all by name
    select -- each customer in one month of a window only: months add up to customers
        grown.month,
        segment,
        pricing_model,
        greatest(spans.first, grown.before + 1, grown.month - back) as first_from,
        least(spans.last, grown.month) as first_to,
        count(*) as expanders
    from grown
    cross join longest
    join spans on spans.customer = grown.customer and spans.first <= grown.month and spans.last >= greatest(grown.before + 1, grown.month - back)
    group by all
)

select
    windows.length,
    windows.last,
    parts.month,
    slices.dimension,
    slices.value,
    coalesce(sum(columns(parts.* exclude (month, segment, pricing_model, first_from, first_to))), 0)::bigint
from windows
join parts on parts.month between windows.first and windows.last and windows.first between parts.first_from and parts.first_to
join slices on slices.dimension = 'total'
    or (slices.dimension = 'segment' and slices.value = parts.segment)
    or (slices.dimension = 'pricing_model' and slices.value = parts.pricing_model)
group by all
order by all
