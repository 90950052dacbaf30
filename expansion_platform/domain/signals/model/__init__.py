"""Models of what customers will do: who will expand, who will leave (semantics 6.2, 6.3, 6.8).

Here: one module a step: `panel` (customers at closes), `splits`, `fitting`, `calibration`, `measures`,
`assess` (the model, its card and whether it is released), `reasons`, `drift`; `compute` makes the tables of
them. Not here: features, the rule scores.
"""
