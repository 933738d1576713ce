"""Puts an inaccessible page behind each array that numpy makes, to be killed for reading there."""

from __future__ import annotations

import ctypes
import mmap
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

_PAGE = mmap.PAGESIZE
_KEPT = 1 << 20
_FILL = 0xA5
_SET_HANDLER = 304
"""Place of `PyDataMem_SetHandler` in numpy's table of functions, which never changes."""
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_LIBC.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_MALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_CALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
_REALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_FREE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class _Handler(ctypes.Structure):
    """`PyDataMem_Handler` of numpy's C interface, with its allocator."""

    _fields_ = [
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", ctypes.c_void_p),
        ("malloc", _MALLOC),
        ("calloc", _CALLOC),
        ("realloc", _REALLOC),
        ("free", _FREE),
    ]


_sizes: dict[int, int] = {}
_free_blocks: dict[int, list[int]] = defaultdict(list)
"""Blocks to be given again, by their length: the kernel takes much longer to make one."""


def _pages(size: int) -> int:
    return -(-max(size, 1) // _PAGE) * _PAGE


def _block(length: int) -> int | None:
    """Return the start of `length` bytes before a page that cannot be read."""
    if _free_blocks[length]:
        return _free_blocks[length].pop()
    anonymous = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    access = mmap.PROT_READ | mmap.PROT_WRITE
    start = _LIBC.mmap(None, length + _PAGE, access, anonymous, -1, 0)
    if start in {None, ctypes.c_void_p(-1).value}:
        return None
    _LIBC.mprotect(start + length, _PAGE, 0)
    return int(start)


def _malloc(_: int | None, size: int) -> int | None:
    """Return memory that ends at the end of a page, up to the alignment of a number."""
    start = _block(_pages(size))
    if start is None:
        return None
    address = start + _pages(size) - -(-max(size, 1) // 8) * 8
    _sizes[address] = size
    ctypes.memset(address, _FILL, size)
    return address


def _calloc(_: int | None, count: int, size: int) -> int | None:
    address = _malloc(None, count * size)
    if address is not None:
        ctypes.memset(address, 0, count * size)
    return address


def _realloc(_: int | None, address: int | None, size: int) -> int | None:
    new = _malloc(None, size)
    if new is not None and address:
        ctypes.memmove(new, address, min(size, _sizes[address]))
        _free(None, address, 0)
    return new


def _free(_: int | None, address: int | None, __: int) -> None:
    if address:
        length = _pages(_sizes.pop(address))
        start = address // _PAGE * _PAGE
        if length > _KEPT:
            _LIBC.munmap(start, length + _PAGE)
        else:
            _free_blocks[length].append(start)


_HANDLER = _Handler(
    b"guarded", 1, None, _MALLOC(_malloc), _CALLOC(_calloc), _REALLOC(_realloc), _FREE(_free)
)


@contextmanager
def guarded_arrays() -> Iterator[None]:
    """Make every array that numpy makes in this thread end at such a page."""
    interface = ctypes.pythonapi
    interface.PyCapsule_GetPointer.restype = ctypes.c_void_p
    interface.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    interface.PyCapsule_New.restype = ctypes.py_object
    interface.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    of_c = import_module("numpy._core._multiarray_umath")._ARRAY_API  # noqa: SLF001 - as C finds it
    functions = ctypes.cast(
        interface.PyCapsule_GetPointer(of_c, None), ctypes.POINTER(ctypes.c_void_p)
    )
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(functions[_SET_HANDLER])
    capsule = interface.PyCapsule_New(ctypes.addressof(_HANDLER), b"mem_handler", None)
    usual = set_handler(capsule)
    try:
        yield
    finally:
        set_handler(usual)
