"""Running judges: worker processes, the event loop, the cache of verdicts."""
