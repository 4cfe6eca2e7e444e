"""A simulator of users' reactions whose truth is known: for tests and experiments only."""
