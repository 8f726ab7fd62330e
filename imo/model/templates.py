"""Prompt templates that no dataset has by itself."""

DEFAULT = "a photo of a {}."  # for datasets that have none

# The seven that CLIP's authors selected of the eighty they wrote for ImageNet; CoOp and Tip-Adapter use them too.
# https://github.com/openai/CLIP/blob/main/notebooks/Prompt_Engineering_for_ImageNet.ipynb
SELECTED = (
    "itap of a {}.", "a bad photo of the {}.", "a origami {}.", "a photo of the large {}.",
    "a {} in a video game.", "art of the {}.", "a photo of the small {}.",
)  # fmt: skip
