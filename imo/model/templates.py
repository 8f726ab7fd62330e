"""Prompts that are not a dataset's own."""

DEFAULT = "a photo of a {}."  # for datasets that have none

# Seven of the eighty that CLIP's authors wrote for ImageNet, in their own selection; CoOp and Tip-Adapter use it too.
# https://github.com/openai/CLIP/blob/main/notebooks/Prompt_Engineering_for_ImageNet.ipynb
SELECTED = (
    "itap of a {}.", "a bad photo of the {}.", "a origami {}.", "a photo of the large {}.",
    "a {} in a video game.", "art of the {}.", "a photo of the small {}.",
)  # fmt: skip
