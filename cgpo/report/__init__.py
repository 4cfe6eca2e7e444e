"""Pages, tables and charts for people."""
