"""Model files: where they come from, how small ones are made, how much memory they take."""
