"""Hydra configuration files, installed as `cgpo.conf`."""
