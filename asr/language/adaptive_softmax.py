"""Adaptive softmax (Grave et al. 2017) with tied input vectors (Press & Wolf 2017; Baevski & Auli 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NARROWEST = 16  # a vector's elements


class AdaptiveSoftmax(nn.Module):
    """Word vectors that serve as input and as output, cut into bands by frequency.

    Ids count from the most frequent word. Each band's vectors are half as wide as those of the band before. The
    first band's softmax also holds one entry for each later band, whose own softmax is only computed for words
    in it: frequent words cost little, rare ones little memory. With no bands it is the plain softmax.
    """

    def __init__(self, words: int, size: int, bands: tuple[int, ...] = ()):
        """bands: ids at which a new band begins; those beyond the vocabulary are left out."""
        super().__init__()
        self.size = size
        self.edges = [0, *(b for b in bands if b < words), words]
        counts = [end - start for start, end in zip(self.edges, self.edges[1:])]
        widths = [max(NARROWEST, size >> k) if k else size for k in range(len(counts))]
        self.vectors = nn.ParameterList(torch.randn(n, w) * w**-0.5 for n, w in zip(counts, widths))
        self.maps = nn.ParameterList(torch.randn(size, w) * size**-0.5 for w in widths[1:])
        self.bias = nn.Parameter(torch.zeros(words))
        self.later = nn.Parameter(torch.randn(len(widths) - 1, size) * size**-0.5)  # each later band's entry
        self.later_bias = nn.Parameter(torch.zeros(len(widths) - 1))

    def embed(self, ids: Tensor) -> Tensor:
        """ids (...) -> vectors (..., size), elements of variance about 1."""
        flat = ids.flatten()
        first = F.embedding(flat.clamp(max=self.edges[1] - 1), self.vectors[0])
        for k in range(1, len(self.vectors)):
            at = self._rows(flat, k)
            rare = F.embedding(flat[at] - self.edges[k], self.vectors[k]) @ self.maps[k - 1].t()
            first = first.index_copy(0, at, rare.to(first.dtype))
        return first.view(*ids.shape, self.size) * self.size**0.5

    def log_prob(self, x: Tensor, targets: Tensor) -> Tensor:
        """x (N, size), ids (N,) -> ln probability of each (N,)."""
        entry, within = targets.clone(), x.new_zeros(len(x), dtype=torch.float)
        for k in range(1, len(self.vectors)):
            at = self._rows(targets, k)
            entry[at] = self.edges[1] + k - 1
            loss = F.cross_entropy(self._logits(x[at], k).float(), targets[at] - self.edges[k], reduction="none")
            within = within.index_add(0, at, -loss)
        return within - F.cross_entropy(self._head(x).float(), entry, reduction="none")

    def all_log_probs(self, x: Tensor) -> Tensor:
        """x (N, size) -> ln probability of every word (N, words)."""
        head = self._head(x).float().log_softmax(-1)
        n = self.edges[1]
        within = [self._logits(x, k).float().log_softmax(-1) for k in range(1, len(self.vectors))]
        return torch.cat([head[:, :n], *(band + entry[:, None] for band, entry in zip(within, head[:, n:].T))], -1)

    def _rows(self, ids: Tensor, band: int) -> Tensor:
        return ((ids >= self.edges[band]) & (ids < self.edges[band + 1])).nonzero()[:, 0]

    def _head(self, x: Tensor) -> Tensor:
        bias = torch.cat([self.bias[: self.edges[1]], self.later_bias])
        return F.linear(x, torch.cat([self.vectors[0], self.later]), bias)

    def _logits(self, x: Tensor, band: int) -> Tensor:
        bias = self.bias[self.edges[band] : self.edges[band + 1]]
        return F.linear(x @ self.maps[band - 1], self.vectors[band], bias)
