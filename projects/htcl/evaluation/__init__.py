"""Evaluation; knows nothing of models."""

from htcl.evaluation.ssc_confusion import SSCScores, confusion_matrix, near_box, ssc_scores
from htcl.evaluation.ssc_metric import SSCMetric

__all__ = ["SSCMetric", "SSCScores", "confusion_matrix", "near_box", "ssc_scores"]
