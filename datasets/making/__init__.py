"""Datasets that are drawn or written out on first use: handwritten digits, and pictures of printed characters."""
