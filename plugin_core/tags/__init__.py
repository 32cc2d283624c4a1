"""Tags: one field table, one module a container family, and what is read, written and copied through them."""
