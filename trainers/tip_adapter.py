"""Tip-Adapter: a cache of image features beside the text classifier."""

import torch
from tqdm import tqdm

from imo.classify.cache import CacheModel
from imo.classify.search import PAPER_GRID, search
from imo.results import write_surface
from imo.trainers.base import distributed as _distributed
from imo.trainers.base.training_free import TrainingFreeTrainer, cache_method


@cache_method
class TipAdapter(TrainingFreeTrainer):
    """Training-free Tip-Adapter: `Z + alpha exp(-beta (1 - u U^T)) L`.

    Zhang et al., "Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification", ECCV 2022,
    https://arxiv.org/abs/2207.09519. u and U are CLIP's own features, or the corrected ones (IMO.CORRECTION adapter).
    alpha and beta come from the grid of Kravets & Namboodiri (BMVC 2024), searched on tuning images.
    """

    one_shot = {"alpha": 1.0, "beta": 5.5}  # the published starting values, where there is nothing to tune on

    def fit(self):
        self.state.keys = self.corrected_support_features()
        self.state.labels = self.support_labels()
        self.tune()

    def tune(self):
        """Search the hyper-parameters for the cache as it is."""
        state, split = self.state, self.tuning_split
        zero_shot, queries = self.zero_shot_logits(split), self.queries(split)
        kl_scores = self.kl_scores(split, fit=True)
        if not self.tunable:
            self.keep_one_shot_setting()
            return
        with self.stage("search"):
            found = search(
                zero_shot,
                self.cache(),
                queries,
                self.targets(split),
                PAPER_GRID,
                kl_scores,
                own_keys=self.own_keys(split),
                continuous=self.cfg.IMO.SEARCH == "exact",
                progress=lambda chunks: tqdm(chunks, desc="Search"),
            )
            if _distributed.rank() == 0:
                write_surface(self.output_dir, found)
        state.set(alpha=found.alpha, beta=found.beta)
        if found.gamma is not None:
            state.set(gamma=found.gamma)
        self.keep_accuracy(found.accuracy)

    def logits(self, split):
        settings = self.state.settings()
        cache = self.cache()
        chunks = self.queries(split).split(256)  # the affinity of all queries at once may not fit in memory
        scores = torch.cat([cache.class_scores(cache.affinity(chunk), settings["beta"]) for chunk in chunks])
        return self.zero_shot_logits(split) + settings["alpha"] * scores

    def restrict(self, source_classes):
        """Returns the positions of the keys that stay."""
        kept, labels = (self.state.labels[:, None] == source_classes).nonzero(as_tuple=True)
        self.state.keys, self.state.labels = self.state.keys[kept], labels
        return kept

    def queries(self, split):
        """(N, d) features of a split that are compared with the keys."""
        return self.corrected_features(split)

    def cache(self):
        """The cache model over the kept keys."""
        return CacheModel(self.state.keys, self.state.labels, self.num_classes)

    def kl_scores(self, split, fit=False):
        """(N, C) scores with weight gamma, or None for a method without; `fit` where the split sets their ranges."""
        return None
