-- What those who paid at a window's start pay at its end, for NRR and GRR over twelve months (semantics 4.2).
-- inputs: windows (first, last), all of one length, book (sql/window_book.sql); months are numbers
-- grain:  last, segment and pricing model at the window's start, and customer where its rounding is in doubt (null for the sum of all others).
-- rates:  closing is at the exchange rates of the window's start: without what rates added, month by month, as a product of quotients. A product of
--         floating-point numbers is off by less than 1e-14 of it. Where it lies closer to a half than ten times that, or is too large, the customer
--         has a row of its own: paid, and closings and fxs of the months in which rates added anything. Its closing is then for others to make.

with began as (
    select windows.last, windows.first, book.customer, book.segment, book.pricing_model, book.opening
    from windows
    join book on book.month = windows.first
    where book.opening > 0
),

lost as ( -- stopped paying within the window, whether it came back or not
    select distinct windows.last, gone.customer
    from windows
    join (select month, customer from book where churn < 0) as gone on gone.month between windows.first and windows.last
),

moved as ( -- of customers that exchange rates move, what undoes them from each month back to the start of the window that it ends
    select
        month,
        customer,
        product((closing - fx) / closing::double) filter (where fx <> 0 and closing <> 0)
            over (partition by customer order by month range between back preceding and current row) as quotient
    from book
    semi join (select distinct customer from book where fx <> 0) as foreign_ using (customer)
    cross join (select max(last - first) as back from windows)
),

ended as (
    select
        began.*,
        lost.customer is not null as interrupted,
        coalesce(book.closing, 0) as paid,
        case when book.closing > 0 then book.closing * moved.quotient end as estimate,
        coalesce(abs(estimate) > 1e12 or abs(estimate - floor(estimate) - 0.5) < 1e-13 * (1 + abs(estimate)), false) as doubtful,
        case when doubtful then null when estimate is null then paid else floor(estimate + 0.5)::bigint end as closing
    from began
    left join (select month, customer, closing from book) as book on book.month = began.last and book.customer = began.customer
    left join lost on lost.last = began.last and lost.customer = began.customer
    left join moved on moved.month = began.last and moved.customer = began.customer
),

exact as (
    select ended.last, ended.customer, list(book.closing order by book.month) as closings, list(book.fx order by book.month) as fxs
    from ended
    join book on book.customer = ended.customer and book.month between ended.first and ended.last
    where ended.doubtful and book.fx <> 0
    group by all
)

select
    ended.last,
    ended.segment,
    ended.pricing_model,
    case when doubtful then ended.customer end as customer,
    sum(opening)::bigint as opening,
    sum(paid)::bigint as paid,
    bool_or(interrupted) as interrupted,
    coalesce(sum(closing), 0)::bigint as closing,
    coalesce(sum(least(opening, closing)) filter (where closing is not null), 0)::bigint as retained,
    coalesce(sum(least(opening, closing)) filter (where closing is not null and not interrupted), 0)::bigint as continuous,
    any_value(exact.closings) as closings,
    any_value(exact.fxs) as fxs
from ended
left join exact on exact.last = ended.last and exact.customer = ended.customer
group by all
order by all
