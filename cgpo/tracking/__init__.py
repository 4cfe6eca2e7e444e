"""What a run leaves behind and shows: metrics, samples, progress display, report. No torch at import."""
