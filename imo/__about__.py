"""The version, for the package and for setup.py, which cannot import the package before PyTorch is installed."""

__version__ = "0.1.0"
