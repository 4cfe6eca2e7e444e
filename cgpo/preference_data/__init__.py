"""`cgpo preferences`: preference pairs with provenance from a model's own responses, ranked by judges and rewards."""
