"""Packaging. `trainers/` and `datasets/` stand at the top, as in every CoOp-style repository, but are installed as
`imo.trainers` and `imo.datasets`, configs/ beside them: a CoOp checkout has top-level packages of those names, and a
plugin must not collide.
"""

from setuptools import find_packages, setup

INSIDE = {"imo.trainers": "trainers", "imo.datasets": "datasets", "imo.configs": "configs"}

setup(
    name="clip-imo",
    version="0.1.0",
    description="CLIP adaptation by intra-modal overlap reduction, as a plugin to the CoOp/Dassl workbench",
    license="MIT",
    python_requires=">=3.9,<3.14",
    packages=[*find_packages(include=["imo", "imo.*"]), *INSIDE],
    package_dir=INSIDE,
    package_data={"imo": ["compat/dassl/**/*.py"], "imo.model.assets": ["*.safetensors"], "imo.configs": ["**/*.yaml"]},
    entry_points={"console_scripts": ["imo-run=imo.workbench.launcher:main"]},
    install_requires=[
        "torch>=2.1",
        "torchvision>=0.16",  # must match torch: install both together
        "clip-anytorch",  # the module `clip`; the registry's package `clip` is a clipboard tool
        "setuptools<81",  # clip-anytorch imports pkg_resources
        "yacs",
        "tabulate",
        "pyyaml",
        "tqdm",
        "numpy>=1.24",
        "safetensors",
        "filelock",
    ],
    extras_require={
        "open_clip": ["open_clip_torch>=3"],
        "demo": ["scikit-learn", "mlxtend", "matplotlib>=3.7", "scikit-image"],
        "linear_probe": ["scikit-learn"],
        "plots": ["matplotlib>=3.7"],
        "dino": ["lightly"],
        "sweep": ["submitit"],
        "test": ["pytest", "ruff", "mypy", "scikit-learn", "open_clip_torch>=3", "submitit", "lightly"],
    },
)
