"""CLIP adaptation by intra-modal overlap reduction: the method, in PyTorch and CLIP alone.

Method: Kravets & Namboodiri, BMVC 2024, https://arxiv.org/abs/2409.11338. `imo.trainers` and `imo.datasets` bring it to
the CoOp/Dassl workbench.
"""

from pathlib import Path

# In a checkout, trainers/, datasets/ and workbench/ stand beside this package; an installed copy has them inside.
_ROOT = Path(__file__).parent.parent
if (_ROOT / "workbench" / "cli.py").is_file():
    __path__.append(str(_ROOT))
else:
    _ROOT = Path(__file__).parent
__path__.append(str(_ROOT / "workbench" / "aliases"))  # `python -m imo.sweep` and others

from imo.__about__ import __version__
from imo.classify.cache import CacheModel
from imo.classify.kl import Phi, class_probabilities, kl_divergence, kl_scores
from imo.classify.search import PAPER_GRID, Grid, SearchResult, search
from imo.errors import InputError
from imo.measure.overlap import OverlapReport, overlap
from imo.model.adapter import attach_adapters, load_adapters, save_adapters
from imo.model.backbone import load_clip
from imo.model.encode import encode_images, text_classifier

__all__ = [
    "PAPER_GRID",
    "CacheModel",
    "Grid",
    "InputError",
    "OverlapReport",
    "Phi",
    "SearchResult",
    "__version__",
    "attach_adapters",
    "class_probabilities",
    "encode_images",
    "kl_divergence",
    "kl_scores",
    "load_adapters",
    "load_clip",
    "overlap",
    "save_adapters",
    "search",
    "text_classifier",
]
