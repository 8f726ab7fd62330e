"""Classifiers on features, and the search of their hyper-parameters."""
