"""Programs that run inside the boxes: standard library only, sent there as source, never imported from a disk there."""
