"""Prompt sets: reading, generating, sampling and tokenizing them."""
