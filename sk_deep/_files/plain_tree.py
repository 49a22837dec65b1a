"""Trees of plain values and numpy arrays as the bytes of one safetensors file.

The arrays are the tensors of the file. Its metadata holds the rest: a manifest in JSON
that refers to them, and a SHA-256 of the file. Reading checks sizes first, then the
hash, and runs no code that a file could name.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.random import RandomState
from numpy.typing import NDArray

from sk_deep.exceptions import CorruptModelError

_LENGTH = 8  # bytes of the header's length, which come first
_KEY = "sk_deep"  # of the one entry of the metadata, since entries have no order
_OURS = {"sha256", "manifest"}  # keys in it
_NO_HASH = "0" * 64
_TENSORS = frozenset("bool i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split())
_LAST_LETTER = 0x10FFFF
_N_WORDS = 624  # of the state of a Mersenne Twister


# ---- writing -------------------------------------------------------------------------


def dump(tree: Any, metadata: Mapping[str, Any]) -> bytes:
    """Write a tree as the bytes of a file.

    Parameters
    ----------
    tree : object
        None, numbers, strings, numpy arrays, scalars and random states, and lists,
        tuples and dicts of them.
    metadata : mapping from str to object
        Data in JSON before the tree, such as a version.

    Returns
    -------
    content : bytes
        For `load`.

    Raises
    ------
    TypeError
        If a value is of another kind; the error names its place.
    """
    arrays: dict[str, NDArray] = {}
    manifest = _encode(tree, arrays, "")
    header = {"sha256": _NO_HASH, **metadata, "manifest": manifest}
    content = safetensors.numpy.save(arrays, {_KEY: json.dumps(header)})
    return content.replace(_place(_NO_HASH), _place(_hash(content)), 1)


def _place(digest: str) -> bytes:
    """Write the hash as a file has it, JSON in JSON."""
    return json.dumps(json.dumps({"sha256": digest})[1:-1])[1:-1].encode()


def _encode(value: Any, arrays: dict[str, NDArray], path: str) -> Any:
    """Turn a value into JSON: lists as they are, others as {kind: content}."""
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if type(value) is list:
        return _encode_all(value, arrays, path)
    for name, kind in _KINDS.items():
        if isinstance(value, kind.type) and not isinstance(value, np.ma.MaskedArray):
            return {name: kind.encode(value, arrays, path)}
    raise TypeError(
        "values in a file must be plain values or numpy arrays, got "
        f"{path.lstrip('.')}={value!r:.50} of {type(value)}."
    )


def _encode_all(values, arrays: dict[str, NDArray], path: str) -> list:
    return [_encode(item, arrays, f"{path}[{i}]") for i, item in enumerate(values)]


def _encode_dict(value: dict, arrays, path) -> list:
    return [
        [_encode(key, arrays, path), _encode(item, arrays, f"{path}.{key}")]
        for key, item in value.items()
    ]


def _encode_array(value: NDArray, arrays, path) -> Any:
    value = np.asarray(value)  # a memory map, say
    if value.dtype.kind == "O":
        items = _encode_all(value.ravel().tolist(), arrays, path)
        return {"shape": list(value.shape), "items": items}
    if value.dtype.kind == "U":
        text = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        letters = text.reshape(*value.shape, 1).view("<u4")
        return {"letters": _encode_array(letters, arrays, path)}
    native = value.dtype.newbyteorder("=")
    if ("bool" if native.kind == "b" else native.str[1:]) not in _TENSORS:
        raise TypeError(
            "arrays in a file must be of numbers, bools, strings or objects, got "
            f"{path.lstrip('.')} of dtype {value.dtype}."
        )
    name = str(len(arrays))
    # the writer takes the memory as it lies, whatever the strides
    arrays[name] = np.ascontiguousarray(value, native).reshape(value.shape)
    return name


def _encode_scalar(value: np.generic, arrays, path) -> Any:
    return _encode_array(np.asarray(value), arrays, path)


def _encode_random_state(value: RandomState, arrays, path) -> Any:
    return _encode(value.get_state(legacy=False), arrays, path)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# ---- reading -------------------------------------------------------------------------


def read_metadata(content: bytes) -> dict[str, Any]:
    """Read the metadata of a file; only their form is checked.

    Parameters
    ----------
    content : bytes
        Of a file.

    Returns
    -------
    metadata : dict of str to object
        The metadata that `dump` wrote.

    Raises
    ------
    CorruptModelError
        If the content does not have the form of a file of this module.
    """
    return {k: v for k, v in _read_header(content).items() if k not in _OURS}


def _read_header(content: bytes) -> dict[str, Any]:
    n = int.from_bytes(content[:_LENGTH], "little")
    if len(content) < _LENGTH or n > len(content) - _LENGTH:
        raise CorruptModelError(
            f"the file ends before its header, got {len(content)} bytes."
        )
    try:
        header = json.loads(content[_LENGTH : _LENGTH + n])
        metadata = json.loads(header["__metadata__"][_KEY])
        is_legal = metadata.keys() >= _OURS and isinstance(metadata["sha256"], str)
    except _ILLEGAL as error:
        raise CorruptModelError(f"the file's header is illegal: {error}") from error
    if not is_legal:
        raise CorruptModelError(f"the file's header must have {sorted(_OURS)}.")
    return metadata


def load(content: bytes) -> Any:
    """Read a tree from the bytes of a file.

    Parameters
    ----------
    content : bytes
        Bytes of a file that `dump` wrote.

    Returns
    -------
    tree : object
        The tree, in new arrays.

    Raises
    ------
    CorruptModelError
        If a byte has changed, or `dump` did not write the content.
    """
    header = _read_header(content)
    check_hash(content, header["sha256"])
    try:
        reader = _Reader(safetensors.numpy.load(content))
        tree = reader.decode(header["manifest"])
    except (safetensors.SafetensorError, *_ILLEGAL) as error:
        raise CorruptModelError(f"the file's content is illegal: {error}") from error
    if reader.unread:
        raise CorruptModelError("the file has tensors that its manifest does not name.")
    return tree


# errors of illegal content where it is decoded
_ILLEGAL = (
    *(AttributeError, LookupError, OverflowError, RecursionError),
    *(TypeError, ValueError),
)


def check_hash(content: bytes, expected: str) -> None:
    """Check the hash that a file has of itself, with zeros in place of the hash."""
    digest = _hash(content.replace(_place(expected), _place(_NO_HASH), 1))
    if digest != expected:
        raise CorruptModelError(
            "the file has changed since it was written: its SHA-256 must be "
            f"{expected!r}, got {digest}."
        )


class _Reader:
    """Decodes a manifest; each tensor is used once."""

    def __init__(self, tensors: dict[str, NDArray]) -> None:
        self.unread = tensors

    def decode(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.decode(item) for item in node]
        if not isinstance(node, dict):
            return node
        ((name, content),) = node.items()
        return _KINDS[name].decode(content, self)


def _decode_float(content: str, reader: _Reader) -> float:
    if content not in ("nan", "inf", "-inf"):
        raise ValueError(f"a float must be nan, inf or -inf, got {content!r}.")
    return float(content)


def _decode_tuple(content: list, reader: _Reader) -> tuple:
    return tuple(reader.decode([*content]))


def _decode_dict(content: list, reader: _Reader) -> dict:
    pairs = [reader.decode(pair) for pair in content]
    decoded = dict(pairs)
    if len(decoded) < len(pairs):
        raise ValueError("a dict has a key twice.")
    return decoded


def _decode_array(content: Any, reader: _Reader) -> NDArray:
    if isinstance(content, str):
        return reader.unread.pop(content)
    if "letters" in content:
        letters = _decode_array(content["letters"], reader)
        if letters.dtype != "u4" or letters.max(initial=0) > _LAST_LETTER:
            raise ValueError("an array of strings has an illegal letter.")
        return letters.view(f"<U{letters.shape[-1]}")[..., 0]
    items = reader.decode([*content["items"]])
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):  # which may be arrays
        array[i] = item
    return array.reshape(content["shape"])


def _decode_scalar(content: Any, reader: _Reader) -> Any:
    return _decode_array(content, reader)[()]


def _decode_random_state(content: Any, reader: _Reader) -> RandomState:
    state = reader.decode(content)
    position = state["state"]["pos"]
    # numpy does not check it, and would read beyond its words
    if not 0 <= position <= _N_WORDS:
        raise ValueError(
            f"a position in {_N_WORDS} words must be in [0, {_N_WORDS}], got "
            f"{position!r:.50}."
        )
    random_state = RandomState()
    random_state.set_state(state)
    return random_state


# ---- the kinds of values -------------------------------------------------------------


@dataclass(frozen=True)
class _Kind:
    """A row of `_KINDS`: a type, and how its values are written and read."""

    type: type
    encode: Callable[[Any, dict[str, NDArray], str], Any]
    decode: Callable[[Any, _Reader], Any]


_KINDS = {
    "scalar": _Kind(np.generic, _encode_scalar, _decode_scalar),  # some are floats, too
    "float": _Kind(float, lambda value, *_: repr(value), _decode_float),
    "tuple": _Kind(tuple, _encode_all, _decode_tuple),
    "dict": _Kind(dict, _encode_dict, _decode_dict),
    "array": _Kind(np.ndarray, _encode_array, _decode_array),
    "random_state": _Kind(RandomState, _encode_random_state, _decode_random_state),
}
