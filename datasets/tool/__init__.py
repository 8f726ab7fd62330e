"""`imo datasets`: check what of a data root is there, fetch what is missing, and write DATASETS.md."""
