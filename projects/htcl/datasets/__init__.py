"""SemanticKITTI data: files, labels, calibration, the data set and its transforms.

Nothing is imported here: ``labels`` and the file readers serve tools that should start fast.
"""
