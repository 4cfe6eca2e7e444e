"""The records of a run and its displays: metrics, responses, loggers, progress. No torch at import."""
