"""Plans, inventories and reports as text, tables and documents. Pure: values in, text out."""
