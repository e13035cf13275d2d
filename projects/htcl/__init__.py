"""HTCL: hierarchical temporal context learning for camera-based 3D semantic scene completion.

Importing this package registers its models, data sets, transforms, metrics and hooks with
mmdetection3d, so that configs can name them.
"""

from htcl import datasets, engine, evaluation, losses, models, visualization

__all__ = ["datasets", "engine", "evaluation", "losses", "models", "visualization"]
__version__ = "0.1.0"
