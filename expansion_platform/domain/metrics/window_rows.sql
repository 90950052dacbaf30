-- How many rows windows read.
-- inputs: customer_months
-- grain:  one row

select count(*) as rows from customer_months
