"""One file a command of `cgpo`."""
