"""Notices a policy that games its reward: independent measures that fall, length that grows, phrases that spread."""
