"""The published figures: one module a table or a family of tables, its SQL beside it."""
