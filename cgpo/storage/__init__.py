"""Files and folders of a run, written so that a kill or a full disk leaves nothing half-written."""
