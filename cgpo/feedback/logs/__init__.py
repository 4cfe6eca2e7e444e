"""A log of reactions: its rows checked, in a table that filters and preparation share."""
