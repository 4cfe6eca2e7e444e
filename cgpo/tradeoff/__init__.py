"""`cgpo tradeoff`: what several runs gained in one measure and lost in others, each against its own start."""
