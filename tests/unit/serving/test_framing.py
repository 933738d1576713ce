import asyncio
import io
import struct

import pytest

from modelyard_serving.runtime import framing


def received(sent: bytes) -> framing.Frame:
    async def receive() -> framing.Frame:
        reader = asyncio.StreamReader()
        reader.feed_data(sent)
        reader.feed_eof()
        return await framing.receive(reader)

    return asyncio.run(receive())


def test_both_sides_read_a_packed_frame() -> None:
    sent = framing.pack({"status": "ok"}, b"\x00body\n")

    assert framing.read(io.BytesIO(sent)) == ({"status": "ok"}, b"\x00body\n")
    assert received(sent) == ({"status": "ok"}, b"\x00body\n")


def test_frames_are_read_one_after_the_other() -> None:
    stream = io.BytesIO(framing.pack({"n": 1}) + framing.pack({"n": 2}, b"two"))

    assert [framing.read(stream) for _ in range(3)] == [({"n": 1}, b""), ({"n": 2}, b"two"), None]


@pytest.mark.parametrize("length", range(len(framing.pack({"n": 1}, b"body"))))
def test_a_truncated_frame_is_no_frame(length: int) -> None:
    cut = framing.pack({"n": 1}, b"body")[:length]

    assert framing.read(io.BytesIO(cut)) is None
    with pytest.raises(framing.Broken):
        received(cut)


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack(">II", 1 << 20, 0),
        struct.pack(">II", 2, framing.MAX_BODY_BYTES + 1) + b"{}",
        struct.pack(">II", 1, 0) + b"{",
        struct.pack(">II", 2, 0) + b"[]",
    ],
)
def test_an_invalid_frame_is_refused(sent: bytes) -> None:
    with pytest.raises(framing.Broken):
        received(sent)
