"""What like atoms say of each other before a fit."""

from __future__ import annotations

import numpy as np

from napari_apgan.measure.alike import LOOSE_SPREAD, loosened
from napari_apgan.measure.joint import Known


def test_loosened_amplitudes_may_differ_by_the_loose_spread_and_looser_ones_stay():
    usual = np.array([10.0, -4.0, 10.0])
    spread = np.array([0.3, 0.1, 100.0])
    known = Known(np.zeros((3, 2)), np.array([0.0, 1.0, 2.0]), usual, 1.0 / spread**2)
    loose = loosened(known)
    expected = [LOOSE_SPREAD * 10.0, LOOSE_SPREAD * 4.0, 100.0]
    np.testing.assert_allclose(loose.amplitude_precision**-0.5, expected)
    np.testing.assert_array_equal(loose.xy_precision, known.xy_precision)
    np.testing.assert_array_equal(loose.amplitude, usual)


def test_atoms_without_height_are_not_held_without_end():
    known = Known(np.zeros((1, 2)), np.zeros(1), np.zeros(1), np.ones(1))
    assert loosened(known).amplitude_precision == 1.0
