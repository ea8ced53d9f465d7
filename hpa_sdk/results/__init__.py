"""Results of fields: written, stored and read again."""
