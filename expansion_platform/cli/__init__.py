"""The `expansion` command: one module a group of commands."""
