"""Evaluation on held-out prompts, in a run and by `cgpo evaluate`."""
