"""Trees come back from a file as they went in, or not at all."""

import json
import struct

import numpy as np
import pytest
import safetensors.numpy
from numpy.random import RandomState

from sk_deep._files import plain_tree
from sk_deep._files.plain_tree import dump, load, read_metadata
from sk_deep.exceptions import CorruptModelError

PLAIN = [
    *(None, True, False, 0, -1, 10**40, "", "ä\n\x00", 'x"sha256": "' + "0" * 64),
    *(0.1, -0.0, 5e-324, float("inf"), -float("inf"), float("nan")),
    *([], [1, [2.0, None]], (), (1, ("a",)), {}, {"a": {"b": []}}),
    {True: 1, 2: "two", "2": 2, None: 0, 1.5: (), (1, "a"): [1]},
]
MATRIX = np.arange(12.0).reshape(3, 4)
ARRAYS = [
    *(MATRIX.astype(kind) for kind in "i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 bool".split()),
    *(np.asfortranarray(MATRIX), MATRIX.T, MATRIX[::-1], MATRIX[:, ::2]),
    *(MATRIX.astype(">f8"), np.broadcast_to(1.0, (2, 3)), MATRIX[1:1], np.array(2.5)),
    *(np.array(["b", "äöü"]), np.array([["a"], ["b"]], ">U9"), np.array([], "U4")),
    np.array(["one", 1, None, 1.5, True], dtype=object),
    np.array([[[1], (2,)]], dtype=object),
    np.array([np.nan, np.inf, -0.0]),
]
SCALARS = [np.float32(0.1), np.float64(0.1), np.int8(3), np.bool_(True), np.str_("a")]


def _assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        _assert_same(list(found.items()), list(expected.items()))
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            _assert_same(ours, theirs)
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype.newbyteorder("=")
        assert found.flags.writeable
        assert found.shape == expected.shape
        _assert_same(found.tolist(), expected.tolist())
    else:
        assert repr(found) == repr(expected)


@pytest.mark.parametrize("value", [*PLAIN, *ARRAYS, *SCALARS], ids=repr)
def test_round_trip(value):
    _assert_same(load(dump(value, {})), value)


def test_a_memory_map_comes_back_as_an_array(tmp_path):
    values = np.memmap(tmp_path / "values", dtype="f4", shape=(3,), mode="w+")
    values[:] = 1, 2, 3
    _assert_same(load(dump([values], {})), [np.array([1, 2, 3], "f4")])


def test_a_random_state_goes_on():
    state = RandomState(0)
    state.normal()  # which keeps a second number for the next call
    found = load(dump(state, {}))
    np.testing.assert_array_equal(found.normal(size=5), state.normal(size=5))


def test_metadata_is_told_without_the_tree():
    content = dump([1], {"format": 3, "versions": {"a": "1"}})
    assert read_metadata(content) == {"format": 3, "versions": {"a": "1"}}


def test_equal_trees_are_equal_bytes():
    tree = {"a": MATRIX, "b": [MATRIX.astype("f4"), "c"]}
    assert dump(tree, {"format": 1}) == dump(load(dump(tree, {})), {"format": 1})


def test_it_is_a_file_of_safetensors():
    assert np.array_equal(
        safetensors.numpy.load(dump({"a": MATRIX.T}, {}))["0"], MATRIX.T
    )


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, print]}, r"a\[1\]"),
        ({"a": {"b": np.dtype("f4")}}, "a.b"),
        ([np.array([1j])], r"\[0\] of dtype complex128"),
        ([np.array([1], "M8[s]")], r"\[0\] of dtype datetime64"),
        ([np.array([print])], r"\[0\]\[0\]"),
        ([np.ma.array([1, 2])], r"\[0\]"),
        ({"a": {1, 2}}, "a="),
        ({"a": b"bytes"}, "a="),
    ],
)
def test_other_values_are_refused(value, place):
    with pytest.raises(TypeError, match=rf"got {place}"):
        dump(value, {})


CONTENT = dump({"a": MATRIX, "b": ["text", np.array(["x", "yz"])]}, {"format": 1})


def test_no_prefix_is_read():
    for n in range(len(CONTENT)):
        with pytest.raises(CorruptModelError):
            load(CONTENT[:n])


def test_no_flip_of_a_bit_is_read(rng):
    for i in rng.choice(8 * len(CONTENT), size=1000, replace=False):
        flipped = bytearray(CONTENT)
        flipped[i // 8] ^= 1 << i % 8
        with pytest.raises(CorruptModelError):
            load(bytes(flipped))


def seal(manifest, tensors=()):
    """Write a file whose hash is right, whatever its manifest."""
    told = json.dumps({"sha256": plain_tree._NO_HASH, "manifest": manifest})
    content = safetensors.numpy.save(dict(tensors), {"sk_deep": told})
    hashes = (
        plain_tree._place(plain_tree._NO_HASH),
        plain_tree._place(plain_tree._hash(content)),
    )
    return content.replace(*hashes, 1)


@pytest.mark.parametrize(
    "manifest",
    [
        {"unknown": 1},
        {"array": "9"},
        {"array": 0},
        {"tuple": 1},
        {"tuple": {"a": 1}},
        {"dict": [[1, 2], [1, 3]]},
        {"dict": [[[1], 2]]},
        {"dict": [1]},
        {"float": "1.5"},
        {"float": 1},
        {"scalar": {"shape": [2], "items": [1]}},
        {"array": {"shape": [10**12], "items": [1]}},
        {"array": {"letters": {"shape": [1], "items": [1]}}},
        {"array": {"letters": "0"}},
        {"random_state": {"dict": [["bit_generator", "os.system"]]}},
        {"tuple": [], "dict": []},
        {},
        {"random_state": None},
        {"random_state": []},
        {"random_state": {"tuple": []}},
        {"array": {"shape": [10**400], "items": [1]}},
        1,  # the tensor is not read
    ],
    ids=repr,
)
def test_a_wrong_manifest_of_the_right_hash_is_refused(manifest):
    with pytest.raises(CorruptModelError):
        load(seal(manifest, {"0": np.full((2, 1), 0x110000, "u4")}))


def test_letters_without_an_axis_are_refused():
    with pytest.raises(CorruptModelError):
        load(seal({"array": {"letters": "0"}}, {"0": np.array(97, "u4")}))


@pytest.mark.parametrize("position", [-1, 625, 2**30, float("nan")])
def test_a_random_state_reads_its_own_words_only(position):
    state = RandomState(0).get_state(legacy=False)
    state["state"]["pos"] = position
    arrays = {}
    manifest = {"random_state": plain_tree._encode(state, arrays, "")}
    with pytest.raises(CorruptModelError, match="a position in 624 words"):
        load(seal(manifest, arrays))


def test_sealing_by_hand_is_legal():
    assert load(seal({"array": "0"}, {"0": np.arange(3)})).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04K\x01.",  # a pickle
        b"\xff" * 8,
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        struct.pack("<Q", 20) + b'{"__metadata__": 1  }',
        safetensors.numpy.save({"a": MATRIX}),
        safetensors.numpy.save({"a": MATRIX}, {"sk_deep": "[]"}),
        safetensors.numpy.save({"a": MATRIX}, {"sk_deep": "[" * 100_000}),
        safetensors.numpy.save({"a": MATRIX}, {"sk_deep": '{"sha256": 1}'}),
    ],
    ids=lambda content: repr(content[:30]),
)
def test_other_files_are_refused(content):
    for read in (load, read_metadata):
        with pytest.raises(CorruptModelError):
            read(content)
