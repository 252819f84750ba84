"""How far an image lies from its truth, through the peak kernel that it itself teaches.

Near each column the image is the sum of one radial kernel per species and of a background. Kernel
(B-splines of the radius) and its gradient are fitted to the image at once: the weight of the
gradient is the shift between image and truth.
"""

import numpy as np
from scipy.interpolate import BSpline


def kernel_shift_px(image, xy_px, species, *, reach_px=25.0, step_px=1.0, border_px=0):
    """Return {species: (dx, dy)} in px, and the fit's relative residual.

    The kernel is learned first; then two more columns a species hold its x and y derivative.
    """
    rows, columns = image.shape
    knots = np.arange(-3, reach_px / step_px + 1) * step_px
    count = len(knots) - 4
    inner = np.zeros(image.shape, dtype=bool)
    inner[border_px : rows - border_px or None, border_px : columns - border_px or None] = True
    kinds = sorted(set(species))
    parts = {s: _radial_parts(image.shape, xy_px[species == s], reach_px) for s in kinds}
    basis = [np.ones(image.size)]
    for s in kinds:
        pixel, radius, _ = parts[s]
        for k in range(count):
            spline = BSpline.basis_element(knots[k : k + 5], extrapolate=False)
            value = np.nan_to_num(spline(radius))
            basis.append(np.bincount(pixel, value, image.size))
    design = np.stack(basis, axis=1)[inner.ravel()]
    seen = image.ravel()[inner.ravel()]
    weights = _solve(design, seen)
    left = seen - design @ weights
    gradients = []
    for n, s in enumerate(kinds):
        pixel, radius, offset = parts[s]
        own = weights[1 + n * count : 1 + (n + 1) * count]
        slope = np.zeros_like(radius)
        for k, w in enumerate(own):
            spline = BSpline.basis_element(knots[k : k + 5], extrapolate=False).derivative()
            slope += w * np.nan_to_num(spline(radius))
        unit = offset / np.maximum(radius, 1e-9)[:, None]
        # Moving the kernel by +d changes the image by -d · gradient.
        gradients += [np.bincount(pixel, -slope * unit[:, axis], image.size) for axis in (0, 1)]
    gradient = np.stack(gradients, axis=1)[inner.ravel()]
    both = _solve(np.hstack([design, gradient]), seen)
    shifts = both[len(weights) :].reshape(len(kinds), 2)
    return dict(zip(kinds, shifts, strict=True)), float(left.std() / seen.std())


def _radial_parts(shape, xy_px, reach_px):
    """Return (pixel, radius, offset x and y) of every pixel near every column."""
    rows, columns = shape
    span = np.arange(-int(reach_px) - 1, int(reach_px) + 2)
    base = np.rint(xy_px).astype(int)
    px = (base[:, 0, None, None] + span[None, None, :]) + 0 * span[None, :, None]
    py = (base[:, 1, None, None] + span[None, :, None]) + 0 * span[None, None, :]
    dx, dy = px - xy_px[:, 0, None, None], py - xy_px[:, 1, None, None]
    radius = np.hypot(dx, dy)
    kept = (radius < reach_px) & (px >= 0) & (px < columns) & (py >= 0) & (py < rows)
    return (py * columns + px)[kept], radius[kept], np.stack([dx[kept], dy[kept]], axis=1)


def _solve(design, seen):
    gram = design.T @ design
    gram[np.diag_indices_from(gram)] += 1e-9 * np.trace(gram) / len(gram)
    return np.linalg.solve(gram, design.T @ seen)
