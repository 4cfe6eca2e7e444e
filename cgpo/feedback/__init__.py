"""Learning from users' reactions: from logs to a prepared set, and what its reward model is worth."""
