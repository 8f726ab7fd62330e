"""The package clip-anytorch under a name of our own: `imo.model.openai_clip.model` is its `clip.model`, and so on.

In a CoOp checkout `import clip` gives the checkout's own, which in many of CoOp's descendants builds another model.
That one stays theirs, and ours is read from the installed distribution, whatever lies on the path. As modules of this
package, its classes and functions are found again by whatever pickles them.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import warnings
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any


def installed_folder() -> Path:
    """The folder of the installed `clip`; where no distribution has one, that of the `clip` on the path.

    Raises:
        ModuleNotFoundError: there is none.
    """
    for name in ("clip-anytorch", "clip"):  # the second is OpenAI's repository, or a clipboard tool
        try:
            folder = Path(str(distribution(name).locate_file("clip")))
        except PackageNotFoundError:
            continue
        if (folder / "model.py").is_file() and (folder / "simple_tokenizer.py").is_file():
            return folder
    spec = importlib.util.find_spec("clip")
    for place in spec.submodule_search_locations or () if spec else ():
        return Path(place)
    raise ModuleNotFoundError("no package `clip`: pip install clip-anytorch", name="clip")


@functools.cache
def clip_module(name: str) -> Any:
    """A module of the installed clip-anytorch: "clip", "model" or "simple_tokenizer".

    Used of it: build_model, tokenize, available_models, _MODELS, _download, _transform and CLIP.
    """
    with warnings.catch_warnings():  # `clip` imports pkg_resources, which warns of its own removal
        warnings.simplefilter("ignore")
        return importlib.import_module(f"{__name__}.{name}")


def __getattr__(name: str) -> Any:
    """`__path__`, which makes this module a package, when it is first asked for."""
    if name == "__path__":
        return [str(installed_folder())]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
