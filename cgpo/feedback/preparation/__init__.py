"""From logs of reactions to training and held-out data: `cgpo feedback prepare`."""
