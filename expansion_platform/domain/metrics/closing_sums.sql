-- What all customers pay at the end of each month, for the identity of metrics/coverage.
-- inputs: customer_months (month, closing)
-- grain:  month

select month, sum(closing)::bigint as closing from customer_months group by month order by month
