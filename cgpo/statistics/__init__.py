"""Estimates with intervals; numbers only."""
