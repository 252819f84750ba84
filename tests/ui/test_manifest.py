"""The manifest: what npe2's own check lets pass, and where the file must be."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from importlib import import_module, metadata, resources
from pathlib import Path

import pytest
from app_model.expressions import parse_expression
from napari._app_model.constants._menus import is_menu_contributable
from npe2 import PluginManifest

from napari_apgan.io import READABLE

ROOT = Path(__file__).parents[2]
BUILT_IN = {".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".npy"}


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_distribution("napari-apgan")


def test_npe2_finds_it_through_the_entry_point_and_accepts_it(manifest):
    (entry,) = (
        e for e in metadata.entry_points(group="napari.manifest") if e.name == "napari-apgan"
    )
    assert entry.value == "napari_apgan:napari.yaml"
    manifest.validate_imports()


def test_every_command_that_is_used_is_declared_and_every_declared_one_is_used(manifest):
    contributions = manifest.contributions
    declared = {c.id for c in contributions.commands}
    used = {
        *(r.command for r in contributions.readers),
        *(w.command for w in contributions.writers),
        *(s.command for s in contributions.sample_data),
        *(w.command for w in contributions.widgets),
        *(item.command for items in contributions.menus.values() for item in items),
    }
    assert declared == used
    assert len(declared) == len(contributions.commands)
    assert all(i.startswith("napari-apgan.") for i in declared)


def test_every_python_name_is_something_to_call(manifest):
    for command in manifest.contributions.commands:
        module, _, name = command.python_name.partition(":")
        assert callable(getattr(import_module(module), name)), command.python_name


def test_menus_are_those_that_plugins_may_add_to(manifest):
    menus = manifest.contributions.menus
    assert {"napari/layers/annotate", "napari/layers/segment", "napari/layers/measure"} == set(
        menus
    )
    for menu, items in menus.items():
        assert is_menu_contributable(menu), menu
        for item in items:
            if item.when:
                parse_expression(item.when)


def test_readers_offer_what_the_core_reads_and_leave_napari_its_own(manifest):
    images, projects = manifest.contributions.readers
    suffixes = {p.removeprefix("*") for p in images.filename_patterns}
    assert suffixes == READABLE - BUILT_IN
    assert projects.filename_patterns == ["*.apgan"]
    assert projects.accepts_directories
    assert not images.accepts_directories


def test_the_writer_does_not_take_plain_csv(manifest):
    (writer,) = manifest.contributions.writers
    assert writer.filename_extensions == [".atoms.csv"]


def test_settings_have_titles_defaults_and_plain_types(manifest):
    for group in manifest.contributions.configurations.values():
        assert group.title
        for name, item in group.properties.items():
            assert name.isidentifier()
            assert item.title
            assert item.default is not None
            assert item.type in {"boolean", "integer", "number", "string"}


def test_the_file_is_in_the_package():
    assert (resources.files("napari_apgan") / "napari.yaml").is_file()


def test_the_top_level_file_leads_to_it():
    link = ROOT / "napari.yaml"
    real = ROOT / "src" / "napari_apgan" / "napari.yaml"
    if link.is_symlink():
        assert link.resolve() == real.resolve()
    else:  # a clone without symlinks holds the target as a small text file
        assert link.read_text().strip() == "src/napari_apgan/napari.yaml"


def test_wheel_and_sdist_carry_it(tmp_path):
    code = (
        "import sys; from hatchling.builders.wheel import WheelBuilder as W;"
        "from hatchling.builders.sdist import SdistBuilder as S;"
        "root, out = sys.argv[1:];"
        "[print(p) for b in (W, S) for p in b(root).build(directory=out)]"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    wheel = next(tmp_path.glob("*.whl"))
    sdist = next(tmp_path.glob("*.tar.gz"))
    assert wheel.name in done.stdout
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert names.count("napari_apgan/napari.yaml") == 1
        entry = next(n for n in names if n.endswith("entry_points.txt"))
        assert "napari_apgan:napari.yaml" in archive.read(entry).decode()
    with tarfile.open(sdist) as archive:
        names = [n.partition("/")[2] for n in archive.getnames()]
        assert "src/napari_apgan/napari.yaml" in names
        assert "napari.yaml" not in names


def test_the_menu_commands_name_the_widget_of_the_manifest(manifest):
    from napari_apgan.ui import commands

    assert manifest.name == commands.PLUGIN
    assert [w.display_name for w in manifest.contributions.widgets] == [commands.WIDGET]
