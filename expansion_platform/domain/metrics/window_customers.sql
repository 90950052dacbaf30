-- The customers of all windows.
-- inputs: customer_months (customer)
-- grain:  customer

select distinct customer from customer_months order by customer
