"""PostgreSQL: schema, queries, the journal."""
