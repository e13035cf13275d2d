"""Writes sequences in the layout of SemanticKITTI."""
