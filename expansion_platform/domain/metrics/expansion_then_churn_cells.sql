-- Who continued through a month, how comparable customers of it are like, and after how many months they left (semantics 4.4).
-- inputs: months (month, number, first_90_days, rest_of_year_1, year_2: who first paid after the instant is in that bucket of tenure or a younger one),
--         customer_months (month, customer, segment, opening, closing, first_paid_at), movements (month, customer, movement, flow_expansion, flags_json),
--         origins (month, customer, origin, expansion), imported (customer): those of whom the catalog says that they paid before,
--         longest (months): leaving later does not count
-- grain:  month, stratum, kind, churned_after (null for those that stayed)
-- Sums are exact: MRR of 64 bits is squared in halves, high and low, each 32 bits.

with main as ( -- a customer's origin is that of most of its expansion; the first by name on a tie
    select month, customer, arg_min(origin, (-expansion, origin)) as origin
    from (select month, customer, origin, sum(expansion) as expansion from origins group by all)
    group by all
),

expanded as (
    select
        movements.month,
        movements.customer,
        case when contains(flags_json, '"seat_surge"') then 'surge/' else 'steady/' end || coalesce(main.origin, 'unknown') as kind
    from movements
    left join main on main.month = movements.month and main.customer = movements.customer
    where flow_expansion > 0
),

churned as ( -- with the churn before it: what is nearer to that has left then
    select customer, number, coalesce(lag(number) over (partition by customer order by number), 0) as before
    from movements
    join months on months.month = movements.month
    where movement = 'churn'
),

departed as ( -- the first churn after each month that is close enough
    select months.month, near.customer, near.churned_on - months.number as churned_after
    from (
        select customer, number as churned_on, unnest(range(greatest(before, number - longest.months), number)) as number
        from churned, longest
    ) as near
    join months on months.number = near.number
),

compared as (
    select
        customer_months.month,
        segment || '/' || case
            when first_paid_at > first_90_days then case when imported.customer is null then 'first_90_days' else 'unknown' end
            when first_paid_at > rest_of_year_1 then case when imported.customer is null then 'rest_of_year_1' else 'unknown' end
            when first_paid_at > year_2 then case when imported.customer is null then 'year_2' else 'unknown' end
            else 'year_3_plus'
        end as stratum,
        coalesce(expanded.kind, 'other') as kind,
        churned_after,
        closing,
        closing >> 32 as high,
        (closing & 4294967295)::ubigint as low
    from customer_months
    join months on months.month = customer_months.month
    left join expanded on expanded.month = customer_months.month and expanded.customer = customer_months.customer
    left join departed on departed.month = customer_months.month and departed.customer = customer_months.customer
    left join imported on imported.customer = customer_months.customer
    where opening > 0 and closing > 0
)

select
    month,
    stratum,
    kind,
    churned_after,
    count(*) as customers,
    sum(closing)::varchar as mrr,
    sum(high * high)::varchar as high_squares,
    sum(high::ubigint * low)::varchar as products,
    sum(low * low)::varchar as low_squares
from compared
group by all
order by all
