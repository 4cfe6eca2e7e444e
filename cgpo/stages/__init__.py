"""The supervised stages before or beside CGPO: SFT, DPO and the reward model."""
