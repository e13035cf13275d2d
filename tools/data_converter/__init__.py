"""Steps that prepare data sets."""
