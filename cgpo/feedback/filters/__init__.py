"""Filters for adversarial patterns of reactions, and the statistics they rest on."""
