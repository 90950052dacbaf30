-- What windows read of customers. Months, customers and slices are numbers, because windows compare them a lot.
-- inputs: customer_months (month, customer, segment, pricing_model, opening, closing, flow_fx), customers (customer, number),
--         months (month, number), slices (segment, pricing_model, number)
-- grain:  month, customer

select
    months.number as month,
    customers.number as customer,
    slices.number as slice,
    opening,
    closing,
    flow_fx as fx
from customer_months
join months on months.month = customer_months.month
join customers on customers.customer = customer_months.customer
join slices on slices.segment = customer_months.segment and slices.pricing_model = customer_months.pricing_model
