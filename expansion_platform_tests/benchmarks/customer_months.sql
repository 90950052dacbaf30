-- What people write themselves: MRR of every customer in every month, the month before beside it, and one word for what became of it.
-- inputs: item_states (billing/item_states), fx_rates (billing/fx_rates), month_ends (month, closing): the month before the range and its months
-- grain:  customer, month, from the first month in which the customer pays
-- Amounts are doubles, rounded once an item; of the rules of semantics 1 only those are here that this book needs. Movements are one word: no causes.

with tiers as (
    select distinct
        scheme_json,
        quantity,
        unnest(from_json(json_extract(scheme_json, '$.tiers'), '[{"up_to": "VARCHAR", "unit": "VARCHAR", "flat": "VARCHAR"}]')) as tier,
        generate_subscripts(json_extract(scheme_json, '$.tiers[*]'), 1) as place
    from item_states
    where json_extract_string(scheme_json, '$.type') = 'graduated'
),

bounds as (
    select
        *,
        coalesce(lag(tier.up_to::double) over (partition by scheme_json, quantity order by place), 0) as low
    from tiers
),

graduated as (
    select
        scheme_json,
        quantity,
        sum(greatest(0, least(quantity::double, coalesce(tier.up_to::double, 1e18)) - low) * tier.unit::double) as amount
    from bounds
    group by all
),

charged as (
    select
        customer,
        currency,
        valid_from,
        valid_to,
        coalesce(graduated.amount, json_extract_string(item_states.scheme_json, '$.unit')::double * item_states.quantity::double) as amount,
        case when interval = 'year' then 12 else 1 end * interval_count as months,
        json_extract_string(discounts_json, '$[0].type') as off_as,
        json_extract_string(discounts_json, '$[0].value')::double as off
    from item_states
    left join graduated on graduated.scheme_json = item_states.scheme_json and graduated.quantity = item_states.quantity
),

items as (
    select
        customer,
        currency,
        valid_from,
        valid_to,
        case off_as when 'percent' then amount * (1 - off / 100) when 'amount' then greatest(0, amount - off) else amount end / months as mrr
    from charged
),

item_months as (
    select
        items.customer,
        month_ends.month,
        sum(round_even(items.mrr * fx_rates.rate::double * case when items.currency = 'jpy' then 100 else 1 end, 0))::bigint as mrr
    from items
    join month_ends on items.valid_from < month_ends.closing and (items.valid_to is null or items.valid_to >= month_ends.closing)
    join fx_rates on fx_rates.month = month_ends.month and fx_rates.currency = items.currency
    group by all
),

customers as (
    select customer, min(month) as first_month
    from item_months
    where mrr > 0
    group by all
),

filled as (
    select customers.customer, month_ends.month, first_month, coalesce(item_months.mrr, 0) as mrr
    from customers
    join month_ends on month_ends.month >= customers.first_month
    left join item_months on item_months.customer = customers.customer and item_months.month = month_ends.month
),

lagged as (
    select *, lag(mrr, 1, 0) over (partition by customer order by month) as opening
    from filled
)

select
    customer,
    month,
    opening,
    mrr as closing,
    mrr > 0 as is_active,
    opening > 0 as was_active,
    mrr - opening as change,
    least(mrr, opening) as renewed,
    case
        when mrr > 0 and month = first_month then 'new'
        when mrr = 0 and opening > 0 then 'churn'
        when mrr > 0 and opening = 0 then 'reactivation'
        when mrr > opening then 'upgrade'
        when mrr < opening then 'downgrade'
    end as category
from lagged
