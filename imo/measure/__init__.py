"""Measures of intra-modal overlap."""
