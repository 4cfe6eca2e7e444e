"""Numbers on scores: ranking, calibration, lift, correlation, length. No model and no torch; a number that cannot be
known is None. Where rows come from users, the rows of one user are not independent: users are then what is resampled.
"""
