"""Tip-Adapter and Tip-Adapter++: a cache of image features beside the text classifier."""

from __future__ import annotations

import torch
from tqdm import tqdm

from imo.classify.cache import CacheModel
from imo.classify.search import PAPER_GRID, search
from imo.pieces import in_pieces
from imo.trainers.base import Method, Queries, Task, TextClassifier, method


@method
class TipAdapter(Method):
    """Training-free Tip-Adapter: logits `Z + alpha exp(-beta (1 - f F^T)) L`.

    Zhang et al., "Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification", ECCV 2022,
    https://arxiv.org/abs/2207.09519. Z are zero-shot logits, f the query's feature, F the keys (mean features of the
    support images' augmented views), L their one-hot labels. alpha and beta come from the grid of Kravets & Namboodiri
    (BMVC 2024), searched on the tuning queries.

    Args:
        search: "grid" for the first best of the paper's 200 alphas, "exact" for the best of all alphas in their range.
    """

    one_shot = {"alpha": 1.0, "beta": 5.5}  # the published starting values

    def __init__(self, search: str = "grid") -> None:
        super().__init__()
        self.search = search

    def fit(self, task: Task) -> None:
        self.keys, self.labels = task.corrected_keys, task.labels
        self.tune(task)

    def tune(self, task: Task) -> None:
        """Search the hyper-parameters for the keys as they are."""
        queries = task.tuning
        kl_scores = self.fit_kl(queries)
        if not task.tunable:
            self.keep_one_shot()
            return
        found = search(
            queries.zero_shot_logits(),
            self.cache(queries.text),
            self.compared(queries),
            queries.targets,
            PAPER_GRID,
            kl_scores,
            own_keys=queries.own_keys,
            continuous=self.search == "exact",
            progress=lambda chunks: tqdm(chunks, desc="Search"),
        )
        self.surface = found
        settings = {"alpha": found.alpha, "beta": found.beta}
        self.keep(queries, settings | ({} if found.gamma is None else {"gamma": found.gamma}), found.accuracy)

    def logits(self, queries: Queries) -> torch.Tensor:
        cache, beta = self.cache(queries.text), self.settings["beta"]

        def scores(features: torch.Tensor) -> torch.Tensor:
            return cache.class_scores(cache.affinity(features), beta)

        # The affinity of all queries at once may not fit in memory.
        return queries.zero_shot_logits() + self.settings["alpha"] * in_pieces(scores, self.compared(queries), 256)

    def restrict(self, classes: torch.Tensor) -> None:
        self.keep_keys(classes)

    def keep_keys(self, classes: torch.Tensor) -> torch.Tensor:
        """Keep the keys of these classes; returns their positions among the keys before."""
        kept, labels = (self.labels[:, None] == classes).nonzero(as_tuple=True)
        self.keys, self.labels = self.keys[kept], labels
        return kept

    def compared(self, queries: Queries) -> torch.Tensor:
        """(N, d) features of queries that are compared with the keys."""
        return queries.corrected

    def cache(self, text: TextClassifier) -> CacheModel:
        """The cache model over the keys."""
        return CacheModel(self.keys, self.labels, len(text))

    def fit_kl(self, queries: Queries) -> torch.Tensor | None:
        """Set what a method with an affinity by text takes from the tuning queries; (N, C) scores with weight gamma."""
        return None


@method
class TipAdapterPP(TipAdapter):
    """Tip-Adapter++: logits `Z + alpha exp(-beta (1 - u U^T)) L`.

    Tip-Adapter whose affinity is taken between corrected features u of the query and U of the support set: those of
    CLIP's visual encoder with the adapters that reduce intra-modal overlap. Zero-shot logits Z stay on CLIP's own
    features. Kravets & Namboodiri, "CLIP Adaptation by Intra-Modal Overlap Reduction", BMVC 2024, section 3.3,
    https://arxiv.org/abs/2409.11338.
    """

    correction = "adapter"
    base = TipAdapter
