"""Changes one thing in a skops file, chosen by a seed, as an attacker would: in the file itself."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.utils import all_estimators
from sklearn.utils._param_validation import Options

from modelyard.sklearn._trusted import TRUSTED_TYPES

Node = dict[str, Any]

NUMBERS = [
    *(0, 1, -1, 2, 3, 50_000, 10**5, 400_000_000, 2**31 - 1, 2**31, 2**63 - 1, 2**64, -(2**31)),
    *(0.0, -0.5, 0.5, 1e-300, 1e300, float("nan"), float("inf"), float("-inf")),
]
EXTREMES = [0, -1, 1, 5, 127, 50_000, 2**31 - 1, -(2**31), 2**62, 1e300, float("nan"), float("inf")]
DTYPES = ["f4", "f8", ">f8", "i1", "i4", "i8", "u8", "?", "c16", "U3", "S3", "M8[s]", "f2"]
WORDS = ["", "file", "filename", "content", "/etc/passwd", "a" * 1000, "0", "identity", "callable"]


def legal_words() -> list[str]:
    """Return every string that a parameter of some estimator may be."""
    constraints = [
        constraint
        for _, kind in all_estimators()
        for allowed in getattr(kind, "_parameter_constraints", {}).values()
        if isinstance(allowed, list)
        for constraint in allowed
    ]
    words = [option for c in constraints if isinstance(c, Options) for option in c.options]
    return sorted({word for word in words if isinstance(word, str)} | set(WORDS))


def value_node(value: Any) -> Node:
    return {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "content": json.dumps(value),
        "is_json": True,
    }


@dataclass
class Contents:
    """What a skops file holds: a tree of nodes, and the arrays that they name."""

    schema: Node
    members: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: bytes) -> Contents:
        with zipfile.ZipFile(io.BytesIO(stored)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        return cls(json.loads(members.pop("schema.json")), members)

    def stored(self) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in self.members.items():
                archive.writestr(name, content)
            archive.writestr("schema.json", json.dumps(self.schema))
        return buffer.getvalue()

    def add(self, content: bytes, ending: str) -> str:
        name = f"forged{len(self.members)}.{ending}"
        self.members[name] = content
        return name


@dataclass(frozen=True)
class Site:
    """A node of a schema, and where it stands."""

    parent: Any
    key: Any
    node: Node
    names: tuple[str, ...]

    @property
    def kind(self) -> tuple[Any, ...]:
        """What like sites share, so that those of a forest are not all that is changed."""
        return self.names[-2:], self.node["__loader__"], self.node["__class__"]

    def put(self, node: Node) -> None:
        self.parent[self.key] = node


def sites(schema: Node) -> list[Site]:
    found: list[Site] = []
    waiting: list[tuple[Any, Any, Any, tuple[str, ...]]] = [({"": schema}, "", schema, ())]
    while waiting:
        parent, key, value, names = waiting.pop()
        if isinstance(value, dict) and "__loader__" in value:
            found.append(Site(parent, key, value, names))
        if isinstance(value, dict):
            inner = [item for item in value.items() if item[0] != "key_types"]
            waiting += [
                (value, k, v, names if k == "content" else (*names, str(k))) for k, v in inner
            ]
        elif isinstance(value, list):
            waiting += [(value, number, part, names) for number, part in enumerate(value)]
    return found


class Forger:
    """Makes forged files out of stored models.

    Args:
        stored: Files of models by name; parts of one are put into others.
    """

    def __init__(self, stored: dict[str, bytes]) -> None:
        self._stored = stored
        self._words = legal_words()
        self._nodes: list[tuple[str, Node]] = []
        self._attributes: set[str] = set()
        classes: set[tuple[str, str]] = set()
        for name, content in stored.items():
            for site in sites(Contents.of(content).schema):
                if len(site.names) <= 4:
                    self._nodes.append((name, site.node))
                self._attributes.update(site.names[-1:])
                classes.add((site.node["__module__"], site.node["__class__"]))
        classes |= {tuple(kind.rpartition(".")[::2]) for kind in TRUSTED_TYPES}  # type: ignore[misc]
        self._classes = sorted(classes)
        self._names = sorted(self._attributes)

    def forge(self, name: str, seed: int) -> tuple[bytes, str]:
        """Return a forged file of the model `name`, and what was changed in it."""
        dice = random.Random(f"{name} {seed}")  # noqa: S311 - a repeatable choice
        contents = Contents.of(self._stored[name])
        changes = [self._change(contents, dice) for _ in range(dice.choice([1, 1, 1, 2]))]
        return contents.stored(), ", ".join(changes)

    def _change(self, contents: Contents, dice: random.Random) -> str:
        by_kind: dict[Any, list[Site]] = defaultdict(list)
        for site in sites(contents.schema):
            if site.names:
                by_kind[site.kind].append(site)
        site = dice.choice(by_kind[dice.choice(sorted(by_kind, key=str))])
        for _ in range(8):
            edit = dice.choice(self._edits(site.node))
            if edit(contents, site, dice):
                return f"{edit.__name__.strip('_')} {'.'.join(site.names)}"
        return "nothing"

    def _edits(self, node: Node) -> list[Callable[[Contents, Site, random.Random], bool]]:
        special: dict[str, Any] = {
            "JsonNode": [self._number, self._number, self._word],
            "NdArrayNode": [self._array] * 6 if node.get("type") == "numpy" else [self._listed] * 3,
            "SparseMatrixNode": [self._sparse] * 6,
            "ListNode": [self._listed] * 3,
            "TupleNode": [self._listed] * 3,
            "DictNode": [self._keys] * 3,
        }
        general = [self._remove, self._transplant, self._swap, self._class, self._attribute]
        return [*special.get(node["__loader__"], []) * 2, *general]

    def _number(self, contents: Contents, site: Site, dice: random.Random) -> bool:
        site.put(value_node(dice.choice([*NUMBERS, None, True, False])))
        return True

    def _word(self, contents: Contents, site: Site, dice: random.Random) -> bool:
        site.put(value_node(dice.choice(self._words)))
        return True

    def _array(self, contents: Contents, site: Site, dice: random.Random) -> bool:
        array = np.load(io.BytesIO(contents.members[site.node["file"]]))
        buffer = io.BytesIO()
        with np.errstate(all="ignore"):
            np.save(buffer, _edited(array, dice), allow_pickle=False)
        name = contents.add(buffer.getvalue(), "npy")
        site.put({k: v for k, v in site.node.items() if k != "__id__"} | {"file": name})
        return True

    def _sparse(self, contents: Contents, site: Site, dice: random.Random) -> bool:
        with np.load(io.BytesIO(contents.members[site.node["file"]])) as stored:
            parts = {key: stored[key] for key in stored.files}
        part = dice.choice(sorted(set(parts) - {"format", "_is_array"}))
        with np.errstate(all="ignore"):
            parts[part] = _edited(parts[part], dice)
        buffer = io.BytesIO()
        np.savez(buffer, **parts)
        name = contents.add(buffer.getvalue(), "npz")
        site.put({k: v for k, v in site.node.items() if k != "__id__"} | {"file": name})
        return True

    def _listed(self, contents: Contents, site: Site, dice: random.Random) -> bool:
        content = site.node["content"]
        if not isinstance(content, list) or not content:
            return False
        site.node.pop("__id__", None)
        change = dice.choice(["empty", "shorter", "longer", "reversed", "same"])
        site.node["content"] = {
            "empty": [],
            "shorter": content[:-1],
            "longer": content + content[-1:] * dice.choice([1, 50]),
            "reversed": content[::-1],
            "same": content[:1] * len(content),
        }[change]
        if "shape" in site.node and dice.random() < 0.7:
            site.node["shape"]["content"] = [value_node(len(site.node["content"]))]
            site.node["shape"].pop("__id__", None)
        return True

    def _keys(self, contents: Contents, site: Site, dice: random.Random) -> bool:
        content = site.node["content"]
        if not isinstance(content, dict) or not content:
            return False
        site.node.pop("__id__", None)
        key = dice.choice(sorted(content))
        content[dice.choice([*self._names, *self._words])] = content.pop(key)
        return True

    def _remove(self, contents: Contents, site: Site, dice: random.Random) -> bool:
        if isinstance(site.parent, dict) and site.names and site.key == site.names[-1]:
            del site.parent[site.key]
            return True
        return False

    def _transplant(self, contents: Contents, site: Site, dice: random.Random) -> bool:
        """Replace a node by one of another model, or of the same."""
        source, node = dice.choice(self._nodes)
        node = json.loads(json.dumps(node))
        donor = Contents.of(self._stored[source]).members
        for inner in sites(node):
            inner.node.pop("__id__", None)
            if "file" in inner.node:
                ending = inner.node["file"].rpartition(".")[2]
                inner.node["file"] = contents.add(donor[inner.node["file"]], ending)
        site.put(node)
        return True

    def _swap(self, contents: Contents, site: Site, dice: random.Random) -> bool:
        if isinstance(site.parent, dict):
            others = [k for k, v in site.parent.items() if isinstance(v, dict) and k != site.key]
        else:
            others = [number for number in range(len(site.parent)) if number != site.key]
        if not others or not site.names:
            return False
        other = dice.choice(others)
        if "__loader__" not in site.parent[other]:
            return False
        site.parent[site.key], site.parent[other] = site.parent[other], site.node
        return True

    def _class(self, contents: Contents, site: Site, dice: random.Random) -> bool:
        module, kind = dice.choice(self._classes)
        site.node.pop("__id__", None)
        site.node.update(__module__=module, __class__=kind)
        return True

    def _attribute(self, contents: Contents, site: Site, dice: random.Random) -> bool:
        """Give an object an attribute that another estimator has."""
        inner = site.node.get("content")
        attributes = inner.get("content") if isinstance(inner, dict) else None
        if not isinstance(attributes, dict) or not isinstance(inner, dict) or not attributes:
            return False
        name, kinds = dice.choice(self._names), inner["key_types"]["content"]
        if name not in attributes and kinds:
            kinds.append(kinds[0])
        attributes[name] = value_node(dice.choice([*NUMBERS, *self._words, None, True]))
        return True


def _edited(array: Any, dice: random.Random) -> Any:
    """Return an array of another shape, type, layout or with another element."""
    if array.dtype.names and dice.random() < 0.7:
        changed = array.copy()
        name = dice.choice(array.dtype.names)
        changed[name] = _edited_elements(changed[name].copy(), dice)
        return changed
    if array.ndim and array.size and not array.dtype.names and dice.random() < 0.5:
        return _edited_elements(array.copy(), dice)
    other_shapes: list[Callable[[], Any]] = [
        lambda: array[:0],
        lambda: array[:-1],
        lambda: array[..., :-1],
        lambda: array[..., :1],
        lambda: array.T,
        array.ravel,
        lambda: array.reshape(-1, 1),
        lambda: array.reshape(1, *array.shape),
        lambda: np.concatenate([array, array]),
        lambda: np.repeat(array, 40, axis=0),
        lambda: np.concatenate([array, array], axis=-1),
        lambda: array.reshape(-1)[0],
        lambda: np.zeros((1,) * dice.choice([0, 1, 2, 3]), array.dtype),
        lambda: np.asfortranarray(array),
        lambda: array.astype(dice.choice(DTYPES)),
        lambda: array.astype(dice.choice(DTYPES)),
        lambda: np.zeros_like(array),
        lambda: np.full(array.shape, dice.choice(EXTREMES)),
    ]
    for _ in range(8):
        try:
            return dice.choice(other_shapes)()
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return array[()]


def _edited_elements(values: Any, dice: random.Random) -> Any:
    flat = values.reshape(-1)
    if not flat.size:
        return values
    extreme = dice.choice(EXTREMES)
    if dice.random() < 0.3:
        flat = np.sort(flat)[::-1]
    elif values.dtype.kind in "iu":
        limits = np.iinfo(values.dtype)
        whole = 0 if extreme != extreme else int(max(limits.min, min(limits.max, extreme)))  # noqa: PLR0124 - NaN
        flat[dice.randrange(flat.size) if dice.random() < 0.7 else slice(None)] = whole
    elif values.dtype.kind in "fc":
        flat[dice.randrange(flat.size) if dice.random() < 0.7 else slice(None)] = extreme
    else:
        flat[dice.randrange(flat.size)] = flat[dice.randrange(flat.size)]
    return flat.reshape(values.shape)
