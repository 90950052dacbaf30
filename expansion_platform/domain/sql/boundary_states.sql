-- The state of every item at given instants, exclusive: after every change before the instant (semantics 1.1; case 56: a change exactly
-- at the instant belongs to the later month).
-- inputs: instants (instant), item_states (billing/item_states)
-- grain:  instant, item

select instants.instant, item_states.*
from instants
join item_states
    on item_states.valid_from < instants.instant
    and (item_states.valid_to is null or item_states.valid_to >= instants.instant)
order by instants.instant, item_states.customer, item_states.subscription, item_states.item
