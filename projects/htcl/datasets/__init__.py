"""Data sets: specifications, files, labels, calibration, samples and their transforms.

Nothing is imported here: the file readers serve tools that should start fast.
"""
