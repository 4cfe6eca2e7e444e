"""`cgpo reward`: data of its heads, losses, training, measurement."""
