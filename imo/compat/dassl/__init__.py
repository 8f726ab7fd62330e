"""A small stand-in for Dassl.pytorch (Zhou et al., MIT), written anew, used only where the real one is absent.

It keeps the names, the log lines and the numbers that few-shot CLIP code in the style of CoOp relies on.
"""

__version__ = "0.6.3+imo"
