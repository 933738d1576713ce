import asyncio
import io
import struct

import pytest

from modelyard_serving.runtime import frames


def received(sent: bytes) -> frames.Frame:
    async def receive() -> frames.Frame:
        reader = asyncio.StreamReader()
        reader.feed_data(sent)
        reader.feed_eof()
        return await frames.receive(reader)

    return asyncio.run(receive())


def test_both_sides_read_what_was_packed() -> None:
    sent = frames.pack({"status": "ok"}, b"\x00body\n")

    assert frames.read(io.BytesIO(sent)) == ({"status": "ok"}, b"\x00body\n")
    assert received(sent) == ({"status": "ok"}, b"\x00body\n")


def test_frames_follow_each_other() -> None:
    stream = io.BytesIO(frames.pack({"n": 1}) + frames.pack({"n": 2}, b"two"))

    assert [frames.read(stream) for _ in range(3)] == [({"n": 1}, b""), ({"n": 2}, b"two"), None]


@pytest.mark.parametrize("length", range(len(frames.pack({"n": 1}, b"body"))))
def test_a_frame_that_was_cut_off_is_no_frame(length: int) -> None:
    cut = frames.pack({"n": 1}, b"body")[:length]

    assert frames.read(io.BytesIO(cut)) is None
    with pytest.raises(frames.Broken):
        received(cut)


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack(">II", 1 << 20, 0),
        struct.pack(">II", 2, frames.MAX_BODY_BYTES + 1) + b"{}",
        struct.pack(">II", 1, 0) + b"{",
        struct.pack(">II", 2, 0) + b"[]",
    ],
)
def test_a_worker_that_sends_nonsense_is_not_believed(sent: bytes) -> None:
    with pytest.raises(frames.Broken):
        received(sent)
