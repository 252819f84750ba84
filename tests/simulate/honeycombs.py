"""Perfect honeycombs for tests."""

import numpy as np


def sites_of(lattice, box):
    """Return the (N, 2) sites of a `Honeycomb` inside (x0, y0, x1, y1), in its unit."""
    x0, y0, x1, y1 = box
    corners = np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]) - lattice.origin
    index = corners @ np.linalg.inv(lattice.vectors)
    low, high = np.floor(index.min(axis=0)) - 1, np.ceil(index.max(axis=0)) + 1
    n1, n2 = (np.arange(a, b + 1) for a, b in zip(low, high, strict=True))
    cells = np.stack(np.meshgrid(n1, n2), axis=-1).reshape(-1, 2) @ lattice.vectors + lattice.origin
    shift = lattice.vectors.sum(axis=0) / 3
    both = np.concatenate([cells + shift, cells - shift])
    return both[(both >= [x0, y0]).all(axis=1) & (both <= [x1, y1]).all(axis=1)]
