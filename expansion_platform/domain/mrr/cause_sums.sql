-- What each cause made of each month's MRR, for what the UI plots.
-- inputs: causes (month, cause, amount)
-- grain:  month, cause

select month, cause, sum(amount)::bigint as amount from causes group by month, cause order by month, cause
