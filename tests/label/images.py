"""Real images with labels: image, label table, polarity of the atoms."""

from __future__ import annotations

LATTICES = {
    "graphene_flower": (
        "graphene_flower/graphene_flower.tif",
        "graphene_flower/graphene_flower.csv",
        "dark",
    ),
    "pto_sro": ("pto_sro/pto_sro_left.hspy", "pto_sro/pto_sro_left.csv", "bright"),
    "srtio3_ser": (
        "srtio3_ser/16_STOimage_1.ser",
        "srtio3_ser/16_STOimage_1.csv",
        "bright",
    ),
    "ptir": ("ptir_particle/ptir.npz", "ptir_particle/ptir.csv", "bright"),
}

PT_STEMS = [
    f"{number}_HAADF_15nm_Sample_PtNC_{day}Oct20"
    for number, day in (
        ("021", 21), ("025", 21), ("027", 21), ("034", 20), ("037", 20), ("038", 21),
        ("045", 20), ("047", 21), ("048", 21), ("049", 20), ("051", 21),
    )
]  # fmt: skip
