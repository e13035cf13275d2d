"""Evaluation; knows nothing of models. The mmengine metric is ``htcl.evaluation.ssc_metric``."""

from htcl.evaluation.regions import near_box
from htcl.evaluation.ssc_confusion import SSCScores, confusion_matrix, ssc_scores

__all__ = ["SSCScores", "confusion_matrix", "near_box", "ssc_scores"]
