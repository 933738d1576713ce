"""Names of files that file systems of Linux and macOS hold, and that other systems may not."""

import unicodedata

ODD_NAMES = (
    "epoch=3-val_loss:0.2.ckpt",
    "2026-11-28T20:21:14.log",
    "what?.md",
    "a#b;c",
    'a"b<c>|d*',
    "back\\slash",
    "..\\..\\x",
    "C:x",
    "con",
    " leading and trailing ",
    "dots...",
    "line\nbreak\ttab\x1b[31m",
    "100%",
    "https%3A%2F%2Fhost%2F%2e%2e",
    "a+b & c=d",
    "\ufffd\u202e\U0001f642",
    unicodedata.normalize("NFC", "é"),
    unicodedata.normalize("NFD", "é"),
)
