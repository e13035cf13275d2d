"""Registers models, data sets, transforms, metrics and hooks with mmdetection3d and mmengine."""

from htcl import datasets, engine, evaluation, losses, models

__all__ = ["datasets", "engine", "evaluation", "losses", "models"]
