"""One JSON object a line, in pieces of any size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_apgan.frames import Calibration
from napari_apgan.predict.protocol import (
    LANGUAGE,
    CancelRequest,
    Done,
    Failed,
    PredictRequest,
    Progress,
    QuitRequest,
    SourceRef,
    WarmRequest,
    encode,
)

REQUESTS = [
    PredictRequest(
        id="1",
        model="m.safetensors",
        source=SourceRef(
            path="C:\\Bilder\\größe\n.tif",
            calibration=Calibration.from_pixel_size(10, 12, origin="user"),
        ),
        frames=(0, 3),
        box=(0.5, 1, 20, 30),
        out_dir="out",
    ),
    WarmRequest(model="m"),
    CancelRequest(id="1"),
    QuitRequest(),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: r.op)
def test_requests_survive_the_wire(request_):
    line = encode(request_)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert LANGUAGE.request(line) == request_


@pytest.mark.parametrize(
    "line",
    [b"", b"nonsense", b"[]", b'{"op": "fly"}', b'{"op": "predict", "id": "1"}', b"\xff\xfe"],
)
def test_what_is_no_request_is_refused_in_one_sentence(line):
    with pytest.raises(ValueError, match=r"^This is no request \(.*\)\.$"):
        LANGUAGE.request(line)


@given(st.lists(st.integers(1, 40), max_size=40))
def test_replies_come_whole_from_pieces_of_any_size(sizes):
    replies = [
        Progress(id="a", done=1, total=3, what="größer"),
        Done(id="a", n_frames=2, seconds=0.5),
        Failed(id="b", sentence="No."),
    ]
    stream = b"".join(map(encode, replies))
    decoder = LANGUAGE.replies()
    found = []
    for size in sizes:
        found += decoder.feed(stream[:size])
        stream = stream[size:]
    found += decoder.feed(stream)
    assert found == replies
    assert decoder.strays == []


def test_strays_do_not_stop_the_stream():
    decoder = LANGUAGE.replies()
    good = Failed(id="b", sentence="No.")
    assert decoder.feed(b"warning: something\n\n" + encode(good)) == [good]
    assert decoder.strays == [b"warning: something"]
    assert decoder.feed(b"x" * (2 << 20)) == []
    assert decoder.feed(b"\n" + encode(good)) == [good]
