"""A small stand-in for Dassl.pytorch (Zhou et al., MIT), written anew, used only where the real one is not installed.

It has the names, log lines and numbers that few-shot CLIP code in CoOp's style relies on.
"""

__version__ = "0.6.3+imo"
