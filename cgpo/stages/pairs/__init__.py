"""Preference pairs: read from data sets, made from responses, cleaned."""
