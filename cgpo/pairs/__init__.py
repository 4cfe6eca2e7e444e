"""Preference pairs: read from files, made, sampled and ranked."""
