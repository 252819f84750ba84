"""Forms made from models: the right editor for each kind of field, and faults as sentences."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field
from qtpy.QtWidgets import QCheckBox, QComboBox, QLineEdit, QStyleOptionViewItem

from napari_apgan.errors import UserError
from napari_apgan.simulate.examples import EXAMPLES
from napari_apgan.simulate.imaging.settings import ImagingSettings
from napari_apgan.ui.model_form import ModelForm
from napari_apgan.ui.model_notes import caption_of, field_notes
from napari_apgan.ui.row_list import Row, RowList
from napari_apgan.ui.simulate_forms import SimulationForms


class Lens(BaseModel):
    """A lens.

    Parameters
    ----------
    c1_nm : float
        Defocus in nm.
    """

    model_config = ConfigDict(extra="forbid")

    c1_nm: float = 0.0


class Base(BaseModel):
    """Common things.

    Parameters
    ----------
    size_pm : float
        How large it is, in pm.
    """

    size_pm: float = Field(default=10.0, ge=0)


class Device(Base):
    """A device.

    Parameters
    ----------
    mode : {"a", "b"}
        How it works.
    quick : bool
        Whether it hurries.
    axis : (int, int, int)
        Where it looks.
    color : {"red"}, optional
    most : float, optional
        A limit.
    lens : Lens
    """

    kind: Literal["device"] = "device"
    mode: Literal["a", "b"] = "a"
    quick: bool = False
    axis: tuple[int, int, int] = (0, 0, 1)
    most: float | None = Field(default=None, gt=0)
    color: Literal["red"] | None = None
    lens: Lens = Lens()


def test_every_kind_of_field_has_its_editor(qtbot):
    form = ModelForm(Device)
    qtbot.addWidget(form)
    kinds = {name: type(editor) for name, editor in form.editors.items()}
    assert kinds == {
        "mode": QComboBox,
        "quick": QCheckBox,
        "axis": QLineEdit,
        "most": QLineEdit,
        "color": QComboBox,
        "size_pm": QLineEdit,
    }, "the fixed kind is not asked for, and its own fields come before inherited ones"
    assert list(form.forms) == ["lens"]
    assert form.editors["size_pm"].toolTip().startswith("How large it is, in pm.")
    form.editors["mode"].setCurrentIndex(1)
    form.editors["quick"].setChecked(True)
    form.editors["axis"].setText("1, 1 0")
    form.editors["most"].setText("2,5")
    form.forms["lens"].editors["c1_nm"].setText("-7")
    values = form.values()
    assert values["axis"] == (1, 1, 0)
    assert (values["mode"], values["quick"], values["most"]) == ("b", True, 2.5)
    assert values["lens"] == Lens(c1_nm=-7)
    form.show_values(Device())
    assert Device(**form.values()) == Device()


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("size_pm", "-3", "“-3” does not fit size pm: Input should be greater than or equal to 0."),
        ("size_pm", "big", "“big” does not fit size pm: Input should be a valid number."),
        ("axis", "1 1", "“1 1” does not fit axis: Field required."),
    ],
)
def test_what_does_not_fit_is_one_sentence(qtbot, name, text, sentence):
    form = ModelForm(Device)
    qtbot.addWidget(form)
    form.editors[name].setText(text)
    with pytest.raises(UserError) as error:
        form.values()
    assert str(error.value) == sentence


def test_a_choice_that_is_not_there_is_disabled_with_its_reason(qtbot):
    form = ModelForm(ImagingSettings)
    qtbot.addWidget(form)
    engine = form.editors["engine"]
    engine.setCurrentIndex(engine.findData("abtem"))
    form.disable_choice("engine", "abtem", "Needs abTEM.")
    assert engine.currentData() == "fast"
    item = engine.model().item(engine.findData("abtem"))
    assert not item.isEnabled()
    assert item.toolTip() == "Needs abTEM."


def test_captions_have_units():
    assert caption_of("voltage_kv") == "Voltage (kV)"
    assert caption_of("c1_nm") == "C1 (nm)"
    assert caption_of("lost_fraction") == "Lost fraction"
    assert field_notes(Device)["size_pm"] == "How large it is, in pm."


def test_every_example_goes_through_the_forms_unchanged(qtbot):
    forms = SimulationForms()
    qtbot.addWidget(forms)
    for name, example in EXAMPLES.items():
        forms.show_settings(example)
        assert forms.settings() == example, name


def test_another_mode_takes_its_usual_microscope_and_a_file_is_asked_for(qtbot):
    forms = SimulationForms()
    qtbot.addWidget(forms)
    mode = forms.imaging.editors["mode"]
    mode.setCurrentIndex(mode.findData("haadf"))
    mode.activated.emit(mode.currentIndex())
    assert forms.settings().imaging == ImagingSettings.usual("haadf")
    forms.kind.setCurrentIndex(forms.kind.findData("file"))
    with pytest.raises(UserError) as error:
        forms.settings()
    assert str(error.value) == "File is empty: fill it in."
    forms.structure.editors["path"].setText("somewhere/GaAs.cif")
    forms.structure.editors["zone"].setText("1 1 0")
    structure = forms.settings().structure
    assert structure.path.name == "GaAs.cif"
    assert structure.zone == (1, 1, 0)


def test_a_row_keeps_its_choice_and_loses_the_middle_of_its_name(qtbot):
    table = RowList(most_rows=3)
    qtbot.addWidget(table)
    chosen = []
    table.toggled.connect(lambda key, on: chosen.append((key, on)))
    table.show_rows([Row("a", "first", ticked=True), Row("b", "second", ticked=False)])
    table.mark("b")
    table.show_rows([Row("b", "second", " · 3", ticked=False)])
    assert table.currentRow() == 0
    option = QStyleOptionViewItem()
    table.show_rows([Row("b", "second", " · 3", detail="why", ticked=False)])
    table.itemDelegate().initStyleOption(option, table.model().index(0, 0))
    assert option.text == "second · 3\N{LINE SEPARATOR}why", "what is below begins a line"
    table.item(0).setCheckState(table.item(0).checkState().Checked)
    assert chosen == [("b", True)]
