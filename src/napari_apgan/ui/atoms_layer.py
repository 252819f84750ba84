"""The atoms on the canvas: a points layer that shows the session's table and never owns it.

Labels are solid, predicted atoms hollow, suspicious ones crossed. What the user does to the layer
with napari's own tools comes back as edits; anything else that happened to it is drawn over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from napari.layers import Points
from numpy.typing import NDArray
from psygnal import Signal

from napari_apgan import atoms as tables
from napari_apgan.atoms import COLUMNS, conform, empty_atoms
from napari_apgan.elements import Element
from napari_apgan.maps import default_radius_px

State = Literal["label", "predicted"]
Key = tuple[State, int]

LAYER_NAME = "Atoms"
_RIM = np.array([0.05, 0.05, 0.05, 0.9], dtype=np.float32)
_UNKNOWN = "#9A9A9A"


def rgba(color: str, alpha: float = 1.0) -> NDArray[np.float32]:
    """Turn ``#RRGGBB`` into four floats."""
    return np.array([*(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)), alpha], np.float32)


def one_row(values: Mapping[str, Any]) -> pd.DataFrame:
    """Make an atom table of one row."""
    return conform(pd.DataFrame([{k: v for k, v in values.items() if k in COLUMNS}]))


def symbols(*names: str) -> NDArray[Any]:
    """Return names of symbols to put into a layer's own array of them.

    napari keeps members of an enumeration there, each of which it hashes and prints by calls of
    Python functions at every change: of 20,000 points that takes longer than all else. A plain
    name is equal to its member and takes its place.
    """
    return np.array(names, dtype=object)


def _resize(layer: Points, data: NDArray[np.float64]) -> None:
    """Give a layer another number of points.

    For each one more, napari looks the symbols of all of them up, a third of the time of an edit.
    Where none has a symbol it gives the one of the new point to all; they are set afterwards.
    """
    if len(data) != len(layer.data) + 1 or not hasattr(layer, "_symbol"):
        layer.data = data
        return
    layer._symbol = layer._symbol[:0]
    try:
        layer.data = data
    except ValueError:  # a napari that does it differently; the points themselves are in
        layer.symbol = "disc"


class AtomsView:
    """Draws labels and predicted atoms, and knows which of them are selected.

    Parameters
    ----------
    make_layer : callable
        Adds a points layer to the viewer and returns it.
    """

    selection_changed = Signal(list)
    #: The user changed the layer by napari's own tools: (added xy, removed keys, moved key -> xy).
    changed_by_hand = Signal(object, object, object)

    def __init__(self, make_layer: Callable[..., Points]) -> None:
        self._make_layer = make_layer
        self.layer: Points | None = None
        self.fast_drawing_above = 5000
        self.fixed_size_px = 0.0
        self._over_maps = False
        self.elements: tuple[Element, ...] = ()
        self._labels = empty_atoms()
        self._predicted = empty_atoms()
        self._suspects: dict[int, str] = {}
        self.rejected: set[int] = set()
        self.selected: list[Key] = []
        # Ids of what is drawn, labels first: 20,000 keys as tuples would cost more than the edit.
        self._ids: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._n_labels = 0
        self._xy = np.empty((0, 2))
        self._radius = (0, 3.0)
        self._symbols: NDArray[Any] | None = None
        #: Ids, which are predicted, and elements, as the layer's features hold them.
        self._features: tuple[NDArray[Any], ...] = (np.empty(0),) * 3

    # --- what is shown ---------------------------------------------------------------------

    @property
    def keys(self) -> list[Key]:
        """What is drawn, in the order of the layer's rows."""
        return [self._key(i) for i in range(len(self._ids))]

    @property
    def xy(self) -> NDArray[np.float64]:
        """(N, 2) positions x, y in px of what is drawn."""
        return self._xy

    @property
    def labels(self) -> pd.DataFrame:
        """The labels of the frame."""
        return self._labels

    @property
    def radius_px(self) -> float:
        """A quarter of the spacing of the atoms; 3 until there are two."""
        return self._radius[1]

    def show_labels(self, labels: pd.DataFrame, elements: Sequence[Element]) -> None:
        """Show the labels of a frame in the elements' colours."""
        self._labels, self.elements = labels, tuple(elements)
        self.draw()

    def show_predicted(
        self, table: pd.DataFrame | None, suspects: Mapping[int, str] | None = None
    ) -> None:
        """Show the predicted atoms of the frame hollow, those in `suspects` (id: reason) crossed.

        None takes them away. Atoms that stand on a label are not drawn.
        """
        self._predicted = empty_atoms() if table is None else table.reset_index(drop=True)
        self._suspects = dict(suspects or {})
        self.rejected = set()
        self.draw()

    def set_over_maps(self, over_maps: bool) -> None:
        """Say whether probability maps lie below: labels then cover their discs."""
        if over_maps != self._over_maps:
            self._over_maps = over_maps
            self.draw()

    def reject(self, ids: Sequence[int]) -> None:
        """Hide predicted atoms that the user deleted."""
        self.rejected |= set(ids)
        self.draw()

    def predicted_left(self) -> pd.DataFrame:
        """Return the predicted atoms that are neither rejected nor replaced by a label."""
        table = self._predicted
        keep = ~table["id"].isin(self.rejected).to_numpy(dtype=bool)
        if len(self._labels) and keep.any():
            from scipy.spatial import cKDTree  # 0.2 s that opening need not wait for

            reach = max(1.0, 0.67 * self.radius_px * 2)
            distance, _ = cKDTree(tables.positions(self._labels)).query(tables.positions(table))
            keep &= np.asarray(distance) > reach
        return table[keep]

    def row(self, key: Key) -> pd.Series:
        """Return the table's row of an atom; KeyError when it is not there."""
        table = self._labels if key[0] == "label" else self._predicted
        rows = table[table["id"] == key[1]]
        if rows.empty:
            raise KeyError(key)
        return rows.iloc[0]

    def reason(self, key: Key) -> str:
        """Why an atom is suspicious; empty when it is not."""
        return self._suspects.get(key[1], "") if key[0] == "predicted" else ""

    # --- picking and selecting -------------------------------------------------------------

    def near(self, x: float, y: float, reach_px: float) -> Key | None:
        """Return the nearest drawn atom within `reach_px` of a position in px."""
        if not len(self._xy):
            return None
        distance = np.hypot(self._xy[:, 0] - x, self._xy[:, 1] - y)
        best = int(distance.argmin())
        return self._key(best) if distance[best] <= reach_px else None

    def inside(self, x0: float, y0: float, x1: float, y1: float) -> list[Key]:
        """Return what is drawn inside a box."""
        (x0, x1), (y0, y1) = sorted((x0, x1)), sorted((y0, y1))
        x, y = self._xy[:, 0], self._xy[:, 1]
        return self.at_rows(np.flatnonzero((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)))

    def along(self, path: Sequence[tuple[float, float]], reach_px: float) -> list[Key]:
        """Return what is drawn within `reach_px` of a path of x, y in px."""
        if not len(self._xy) or not len(path):
            return []
        points = np.asarray(path, dtype=np.float64)
        near = np.hypot(*(self._xy - points[0]).T) <= reach_px
        for a, b in pairwise(points):
            way = b - a
            length = max(float(way @ way), 1e-12)
            part = np.clip((self._xy - a) @ way / length, 0.0, 1.0)
            near |= np.hypot(*(self._xy - a - part[:, None] * way).T) <= reach_px
        return self.at_rows(np.flatnonzero(near))

    def at_rows(self, rows: NDArray[np.integer]) -> list[Key]:
        """Return the keys of rows of the layer."""
        return [self._key(int(i)) for i in rows]

    def select(self, keys: Sequence[Key]) -> None:
        """Select atoms; those that are not drawn are left out."""
        known = self._drawn() if len(keys) else {}
        chosen = [k for k in keys if k[1] in known[k[0]]]
        if chosen != self.selected:
            self.selected = chosen
            self.selection_changed.emit(list(chosen))

    def position(self, key: Key) -> tuple[float, float]:
        """Return x, y in px of a drawn atom."""
        first = 0 if key[0] == "label" else self._n_labels
        last = self._n_labels if key[0] == "label" else len(self._ids)
        x, y = self._xy[first + np.flatnonzero(self._ids[first:last] == key[1])[0]]
        return float(x), float(y)

    def positions(self, keys: Sequence[Key]) -> list[tuple[float, float]]:
        """Return x, y in px of drawn atoms; of many at once far quicker than one by one."""
        if len(keys) < 8:
            return [self.position(k) for k in keys]
        row = {key: i for i, key in enumerate(self.keys)}
        return [(float(x), float(y)) for x, y in self._xy[[row[k] for k in keys]]]

    def _key(self, row: int) -> Key:
        """Return the key of a row of the layer."""
        return ("label" if row < self._n_labels else "predicted", int(self._ids[row]))

    def _drawn(self) -> dict[State, set[int]]:
        """Return the ids of what is drawn."""
        n = self._n_labels
        return {"label": set(self._ids[:n].tolist()), "predicted": set(self._ids[n:].tolist())}

    # --- drawing ---------------------------------------------------------------------------

    def ensure(self) -> Points:
        """Make the layer: only the desk knows when there is an image to draw it on."""
        if self.layer is None:
            self.layer = self._make_layer()
            self.layer.events.data.connect(self._on_layer_data)
        return self.layer

    def draw(self) -> None:
        """Fill the layer from the tables in one go: one upload, whatever changed."""
        predicted = self.predicted_left() if len(self._predicted) else self._predicted
        n_labels, n = len(self._labels), len(self._labels) + len(predicted)
        self._n_labels = n_labels
        ids = [table["id"].to_numpy(np.int64) for table in (self._labels, predicted)]
        self._ids = np.concatenate(ids)
        self._xy = np.concatenate([tables.positions(self._labels), tables.positions(predicted)])
        self._measure_spacing()
        if self.layer is None:
            return
        names = np.concatenate(
            [self._labels["element"].to_numpy(object), predicted["element"].to_numpy(object)]
        )
        suspect = np.zeros(n, dtype=bool)
        suspect[n_labels:] = predicted["id"].isin(self._suspects).to_numpy(dtype=bool)
        self._fill(self.layer, names, n_labels, suspect)
        if self.selected:
            self.select(self.selected)  # leaves out what is gone

    def _measure_spacing(self) -> None:
        count, _radius = self._radius
        n = len(self._xy)
        if n >= 2 and (count < 2 or abs(n - count) > 0.1 * count):
            self._radius = (n, default_radius_px(pd.DataFrame(self._xy, columns=["x_px", "y_px"])))

    def _fill(
        self, layer: Points, names: NDArray[Any], n_labels: int, suspect: NDArray[np.bool_]
    ) -> None:
        """Write what changed into the layer: napari takes long over each thing it is given anew."""
        n = len(names)
        codes, kinds = pd.factorize(names)
        colors = self._palette(kinds)[codes]
        hollow = np.arange(n) >= n_labels
        face = colors.copy()
        face[hollow & ~suspect, 3] = 0.0
        border = np.where(hollow[:, None], colors, _RIM).astype(np.float32)
        diameter = self.fixed_size_px or 2.0 * self.radius_px
        # Smaller than its disc on the map below, a label would look like a ring: a predicted one.
        size = np.where(hollow, diameter, (1.15 if self._over_maps else 0.62) * diameter)
        with layer.events.blocker_all(), layer._block_refresh():
            layer.selected_data = set()
            same = len(layer.data) == n and len(layer.features) == n
            if same:
                layer.data[:] = self._xy[:, ::-1]
            else:
                _resize(layer, self._xy[:, ::-1].copy())
            layer.face_color[:] = face
            layer.border_color[:] = border
            layer.size[:] = size
            layer.border_width[:] = np.where(hollow & ~suspect, 0.2, 0.12)
            if self._symbols is None:
                self._symbols = symbols("disc", "cross")
            layer.symbol[:] = self._symbols[suspect.astype(int)]
            rows = (self._ids, hollow, names)
            if not same or not all(map(np.array_equal, rows, self._features)):
                self._features = rows
                self._set_features(layer, hollow, codes, kinds)
            layer.antialiasing = 0 if n > self.fast_drawing_above else 1
        layer.refresh(thumbnail=not same)

    def _set_features(
        self,
        layer: Points,
        hollow: NDArray[np.bool_],
        codes: NDArray[np.integer],
        kinds: NDArray[Any],
    ) -> None:
        n = len(codes)
        layer.features = pd.DataFrame(
            {
                "id": self._ids.copy(),
                "state": pd.Categorical.from_codes(hollow.astype(np.int8), ["label", "predicted"]),
                "element": pd.Categorical.from_codes(codes, kinds),
            }
        )
        if n:  # an atom that napari's own add mode makes must not take the last one's id
            layer.feature_defaults = {
                "id": -1,
                "state": self._key(n - 1)[0],
                "element": kinds[codes[-1]],
            }

    def _palette(self, names: NDArray[Any]) -> NDArray[np.float32]:
        """Return the (N, 4) colours of elements."""
        lookup = {e.name: e.color for e in self.elements}
        colors = [rgba(lookup.get(str(name), _UNKNOWN)) for name in names]
        return np.array(colors, dtype=np.float32).reshape(-1, 4)

    # --- what the user does with napari's own tools ------------------------------------------

    def _on_layer_data(self, event: Any) -> None:
        if str(getattr(event, "action", "")).rsplit(".", 1)[-1].lower() not in (
            "added",
            "removed",
            "changed",
        ):
            return
        layer = self.layer
        if layer is None:
            return
        ids = layer.features["id"].to_numpy()
        states = layer.features["state"].astype(str).to_numpy()
        xy = np.asarray(layer.data)[:, ::-1]
        keys = self.keys
        at = {key: i for i, key in enumerate(keys)}
        seen: set[Key] = set()
        added: list[tuple[float, float]] = []
        moved: dict[Key, tuple[float, float]] = {}
        for i, (state, number) in enumerate(zip(states, ids.tolist(), strict=True)):
            key: Key = ("predicted" if state == "predicted" else "label", number)
            here = (float(xy[i, 0]), float(xy[i, 1]))
            if key not in at or key in seen:  # new, or pasted from an atom that is still there
                added.append(here)
                continue
            seen.add(key)
            if not np.allclose(self._xy[at[key]], here, atol=1e-6):
                moved[key] = here
        removed = [k for k in keys if k not in seen]
        if added or removed or moved:
            self.changed_by_hand.emit(added, removed, moved)
        self.draw()
