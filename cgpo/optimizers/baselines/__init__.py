"""Optimisers to compare CGPO with. They see one number per response: rewards minus penalties for violations."""
