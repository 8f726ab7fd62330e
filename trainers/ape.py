"""APE: Tip-Adapter on chosen channels, its keys weighted by how well CLIP's text knows them."""

import math

import torch
import torch.nn.functional as F
from tqdm import tqdm

from imo.classify.cache import CacheModel
from imo.classify.search import PAPER_GRID, Grid, search
from imo.trainers.base.training_free import cache_method
from imo.trainers.tip_adapter import TipAdapter

SHARES = (0.5, 0.7, 0.8, 1.0)  # of the channels
SIMILARITY_WEIGHT = 0.7  # against 0.3 for the variance
GAMMAS = tuple(i / 10 for i in range(10))
START = Grid((2.0,), (1.0,))  # alpha and beta where the authors' search starts on ImageNet


@cache_method
class APE(TipAdapter):
    """Training-free APE: `Z + alpha exp(-beta (1 - u' U'^T)) diag(exp(gamma D)) L`, with Q chosen channels in u', U'.

    Zhu et al., "Not All Features Matter: Enhancing Few-shot CLIP with Adaptive Prior Refinement", ICCV 2023,
    https://arxiv.org/abs/2304.01195. D is the divergence (in bits) of each key's label from its prediction by text on
    the chosen channels. Channels are the Q best by `-0.7 similarity + 0.3 variance`: the mean product of a channel
    between keys or text features of different classes, and its variance over the classes' text features.

    u and U are CLIP's own features or corrected ones; text features are uncorrected. Deviations: Q and the weights 0.7
    and 0.3 (theirs for ImageNet, SUN397 and OxfordPets) are set for each dataset in the authors' code; here Q is one of
    four shares of the channels, chosen on tuning images at the authors' starting values, under `support` on one ranking
    of the channels by all keys. Then alpha and beta come from the same grid as Tip-Adapter's, and gamma goes from 0 to
    0.9 by steps of 0.1 (theirs up to 0.5, 1 or 1.5, by 0.05 to 0.1).
    """

    one_shot = {"alpha": START.alphas[0], "beta": START.betas[0], "gamma": 0.1}

    def fit(self):
        state = self.state
        state.keys, state.labels = self.corrected_support_features(), self.support_labels()
        ranking = self.criterion().argsort(descending=True, stable=True)
        choices = [ranking[: max(1, round(share * len(ranking)))].sort().values for share in SHARES]
        if not self.tunable:
            self.choose_channels(choices[-1])
            self.keep_one_shot_setting()
            return
        with self.stage("search"):
            right = [self.search(START, self.one_shot["gamma"], chosen).accuracy for chosen in choices]
            channels = choices[right.index(max(right))]
            found = [self.search(PAPER_GRID, gamma, channels) for gamma in tqdm(GAMMAS, desc="Search")]
        best = max(found, key=lambda result: result.accuracy)  # the first of equals
        state.set(alpha=best.alpha, beta=best.beta, gamma=GAMMAS[found.index(best)])
        self.keep_accuracy(best.accuracy)

    def criterion(self):
        """(d,) how well each channel tells classes apart."""
        text, keys = self.classifier, F.normalize(self.state.keys, dim=-1)
        samples, labels = torch.cat([text, keys]), torch.cat([torch.arange(len(text)), self.state.labels])
        one_hot = F.one_hot(labels, self.num_classes).to(samples.dtype)
        sums, counts = one_hot.T @ samples, one_hot.sum(0)
        # Sums over all pairs of samples, less those over pairs of a class.
        pairs = counts.sum() ** 2 - counts.square().sum()
        similarity = (sums.sum(0).square() - sums.square().sum(0)) / pairs.clamp(min=1)
        variance = text.var(0) if len(text) > 1 else 0.0
        return -SIMILARITY_WEIGHT * similarity + (1 - SIMILARITY_WEIGHT) * variance

    def choose_channels(self, channels):
        """Keep channels, (Q,) int64, and the divergence of each key on them."""
        state = self.state
        keys, text = (F.normalize(rows[:, channels], dim=-1) for rows in (state.keys, self.classifier))
        predictions = torch.log_softmax(keys @ text.T, dim=-1).gather(1, state.labels[:, None])[:, 0]
        state.channels, state.divergence = channels, -predictions / math.log(2)

    def search(self, grid, gamma, channels):
        """The best alpha and beta of a grid on channels that are then kept."""
        self.choose_channels(channels)
        self.state.set(gamma=gamma)
        split = self.tuning_split
        zero_shot, queries, targets = self.zero_shot_logits(split), self.queries(split), self.targets(split)
        return search(zero_shot, self.cache(), queries, targets, grid, own_keys=self.own_keys(split), chunk=1024)

    def queries(self, split):
        return self.corrected_features(split)[:, self.state.channels]

    def cache(self):
        state = self.state
        weights = torch.exp(state.gamma.float() * state.divergence)
        return CacheModel(state.keys[:, state.channels], state.labels, self.num_classes, weights)

    def restrict(self, source_classes):
        """Keys keep the weights that they have among all classes."""
        self.state.divergence = self.state.divergence[super().restrict(source_classes)]
