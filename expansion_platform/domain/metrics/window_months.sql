-- What windows read of customers. Months and slices are numbers, because windows compare them a lot.
-- inputs: customer_months (month, customer, segment, pricing_model, opening, closing, flow_fx), months (month, number),
--         slices (segment, pricing_model, number), part (number, parts: which customers, a part of about the same size by their hash)
-- grain:  month, customer

select
    months.number as month,
    customer_months.customer,
    slices.number as slice,
    opening,
    closing,
    flow_fx as fx
from customer_months
cross join part
join months on months.month = customer_months.month
join slices on slices.segment = customer_months.segment and slices.pricing_model = customer_months.pricing_model
where part.parts = 1 or hash(customer_months.customer) % part.parts = part.number
