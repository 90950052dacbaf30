-- What those who paid at a window's start pay at its end, for NRR and GRR over twelve months (semantics 4.2).
-- inputs: windows (length, first, last), book (sql/window_book.sql)
-- grain:  segment and pricing model at the window's start, and customer where an exchange rate moved it (customer is null for the sum of all others).
-- rates:  closings and what exchange rates added to them, of the months in which they added anything: their quotients undo the rates.

with moved as (
    select windows.first, windows.last, book.*
    from windows
    join book on book.month between windows.first and windows.last
),

members as (
    select
        customer,
        arg_min(segment, month) as segment,
        arg_min(pricing_model, month) as pricing_model,
        arg_min(opening, month) as opening,
        coalesce(sum(closing) filter (where month = last), 0) as closing,
        bool_or(churn < 0) as interrupted, -- stopped paying within the window, whether it came back or not
        list(closing order by month) filter (where fx <> 0) as closings,
        list(fx order by month) filter (where fx <> 0) as fxs
    from moved
    group by customer
    having bool_or(month = first and opening > 0)
)

select
    segment,
    pricing_model,
    case when closing > 0 and closings is not null then customer end as customer,
    sum(opening)::bigint as opening,
    sum(closing)::bigint as closing,
    sum(least(opening, closing))::bigint as retained,
    coalesce(sum(least(opening, closing)) filter (where not interrupted), 0)::bigint as continuous,
    bool_or(interrupted) as interrupted,
    any_value(closings) filter (where closing > 0) as closings,
    any_value(fxs) filter (where closing > 0) as fxs
from members
group by all
order by all
