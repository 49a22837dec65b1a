"""Faults of files: kills, full disks, flipped bits, and the work of strangers."""

import contextlib
import copy
import io
import json
import os
import pickle
import random
import resource
import signal
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import safetensors.numpy
import skops.io
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sk_deep
from campaign._common import Campaign, Outcome, quiet
from sk_deep import MLPClassifier, MLPRegressor, load, persistence, save
from sk_deep._files import plain_tree, sealed_zip
from sk_deep.exceptions import CorruptModelError

X, Y = load_iris(return_X_y=True)
SMALL = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}
LONGEST = 15  # seconds of a load
MEMORY = 4 << 30  # bytes, of which the libraries take most
DATA = Path(__file__).parents[1] / "golden"


# ---- what they share -----------------------------------------------------------------


def _fitted(**params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MLPClassifier(**{**SMALL, **params}).fit(X, Y)


def _pipeline():
    return make_pipeline(StandardScaler(), _fitted()).fit(X, Y)


def _python(code, *args, **options):
    """Start a process that runs code; its modules are found as ours are."""
    path = os.pathsep.join(sys.path)
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(command, env=environment, text=True, **options)


def _load(content, folder):
    """Load bytes; return the name of the error, or what was loaded, and the seconds."""
    path = folder / "content"
    path.write_bytes(content)
    start = time.perf_counter()
    try:
        found = load(path)
    except Exception as error:
        found = type(error).__name__
    return found, time.perf_counter() - start


def _check_refused(outcome, content, folder, text, allowed=("CorruptModelError",)):
    found, seconds = _load(content, folder)
    outcome.check(found in allowed and seconds < LONGEST, f"{text}: {found!r:.80}")


@contextlib.contextmanager
def _limit(kind, size):
    limits = resource.getrlimit(kind)
    resource.setrlimit(kind, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, limits)


# ---- while saving --------------------------------------------------------------------


FORK_AND_SAVE = """
import os, sys, sk_deep
first, second = sk_deep.load(sys.argv[1]), sk_deep.load(sys.argv[2])
for _ in sys.stdin:
    pid = os.fork()  # quicker than a start
    while pid == 0:
        sk_deep.save(first, sys.argv[3])
        sk_deep.save(second, sys.argv[3])
    print(pid, flush=True)
    os.waitpid(pid, 0)
    print("gone", flush=True)
"""


def kill_while_saving(n, folder):
    """Kill a process that saves, at a random moment: a file is there and is whole."""
    outcome, rng = Outcome(), random.Random(0)
    sources = folder / "first", folder / "second"
    hashes = {
        save(_fitted(hidden_layer_sizes=(100, 100), random_state=i), source)
        for i, source in enumerate(sources)
    }
    target = folder / "target"
    save(load(sources[0]), target)
    with _python(FORK_AND_SAVE, *sources, target, stdin=-1, stdout=-1) as parent:
        for i in range(n):
            print("go", file=parent.stdin, flush=True)
            pid = int(parent.stdout.readline())
            time.sleep(rng.uniform(0, 0.02))
            os.kill(pid, signal.SIGKILL)
            parent.stdout.readline()
            is_whole = any(_loads(target, one) for one in hashes)
            outcome.check(is_whole, f"kill {i}: no file, or not a whole one")
        parent.stdin.close()
    save(load(sources[0]), target)
    left = sorted(set(os.listdir(folder)) - {"first", "second", "target"})
    outcome.check(not left, f"left behind: {left}")
    return outcome


def _loads(path, sha256):
    try:
        load(path, expected_sha256=sha256)
    except (CorruptModelError, OSError):
        return False
    return True


def disk_full(n, folder):
    """Save where files cannot be as large: an error, and the former file is there."""
    outcome = Outcome()
    if Path("/proc/self").exists():  # a folder in which nobody can write
        try:
            save(_fitted(), "/proc/self/model")
            outcome.check(False, "saved in /proc/self")
        except OSError:
            outcome.check(True, "")
    path = folder / "model"
    for model in (_fitted(), _pipeline()):
        save(model, path)
        before = path.read_bytes()
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            for size in np.linspace(0, len(before) - 1, n // 2).astype(int):
                error = None
                with _limit(resource.RLIMIT_FSIZE, int(size)):
                    try:
                        save(model, path)
                    except OSError as caught:
                        error = caught
                is_there = path.read_bytes() == before
                is_alone = os.listdir(folder) == ["model"]
                is_right = error is not None and is_there and is_alone
                outcome.check(is_right, f"at most {size} bytes: {error!r}")
        finally:
            signal.signal(signal.SIGXFSZ, handler)
    return outcome


INTERRUPT = """
import os, signal, sys, sk_deep
model, path = sk_deep.load(sys.argv[1]), sys.argv[2]
sk_deep.save(model, path)
n = 0
for microseconds in map(int, sys.argv[3].split(",")):
    signal.setitimer(signal.ITIMER_REAL, microseconds * 1e-6)
    signal.signal(signal.SIGALRM, lambda *args: signal.raise_signal(signal.SIGINT))
    try:
        while True:
            sk_deep.save(model, path)
    except KeyboardInterrupt:
        sk_deep.load(path)
        n += 1
print(n, os.listdir(os.path.dirname(path)) == [os.path.basename(path)])
"""


def interrupt_while_saving(n, folder):
    """Interrupt a save at random moments: it reaches the caller, the file is whole."""
    rng = np.random.RandomState(0)
    (folder / "saved").mkdir()
    save(_fitted(hidden_layer_sizes=(100, 100)), folder / "source")
    moments = ",".join(map(str, rng.randint(50, 20_000, size=n)))
    path = folder / "saved" / "model"
    with _python(INTERRUPT, folder / "source", path, moments, stdout=-1) as child:
        told = child.communicate(timeout=60)[0].split()
    outcome = Outcome(n_tried=n)
    if told != [str(n), "True"]:
        outcome.wrong.append(f"interrupts and a lonely file: {told}")
    return outcome


# ---- accidents -----------------------------------------------------------------------


def truncations(n, folder):
    """Load prefixes of files; of a small one all, when `n` is large."""
    outcome = Outcome()
    for name, model in {"network": _fitted(), "pipeline": _pipeline()}.items():
        save(model, folder / "whole")
        content = (folder / "whole").read_bytes()
        lengths = np.linspace(0, len(content) - 1, min(n, len(content))).astype(int)
        step = 1 if name == "network" else 1 + len(lengths) // 200
        for length in lengths[::step]:
            _check_refused(outcome, content[:length], folder, f"{name}[:{length}]")
    return outcome


def bit_flips(n, folder):
    """Load a file with one bit flipped."""
    outcome, rng = Outcome(), np.random.RandomState(0)
    for name, model, share in (
        ("network", _fitted(), 0.9),
        ("pipeline", _pipeline(), 0.1),
    ):
        save(model, folder / "whole")
        content = (folder / "whole").read_bytes()
        for i in rng.randint(8 * len(content), size=int(share * n)):
            changed = bytearray(content)
            changed[i // 8] ^= 1 << i % 8
            _check_refused(outcome, bytes(changed), folder, f"{name}, bit {i}")
    return outcome


def splices(n, folder):
    """Load files with parts of another file, moved, doubled, cut out or zeroed."""
    outcome, rng = Outcome(), np.random.RandomState(0)
    contents = []
    for seed in (0, 1):
        save(_fitted(random_state=seed), folder / "whole")
        contents.append((folder / "whole").read_bytes())
    first, second = contents
    size = min(map(len, contents))
    ways = {
        "other's part": lambda a, b: first[:a] + second[a:b] + first[b:],
        "other's end": lambda a, b: first[:a] + second[a:],
        "part cut out": lambda a, b: first[:a] + first[b:],
        "part doubled": lambda a, b: first[:b] + first[a:],
        "zeros": lambda a, b: first[:a] + bytes(b - a) + first[b:],
        "further end": lambda a, b: first + second[a:b],
    }
    for i in range(n):
        name = list(ways)[i % len(ways)]
        a, b = sorted(rng.choice(size, size=2, replace=False).tolist())
        content = ways[name](a, b)
        if content not in contents:
            _check_refused(outcome, content, folder, f"{name} {a}:{b}")
    return outcome


# ---- strangers -----------------------------------------------------------------------


def _sealed(change):
    """Write a network's file with a changed tree or metadata, and the right hash."""
    tree = plain_tree.load(persistence._dump(_fitted(activation="maxout")))
    about = {"format": 1, "versions": {}}
    change(tree, about)
    return plain_tree.dump(tree, about)


def _set(*keys):
    """Build a change: all keys but the last two lead to where it is."""
    *path, last, value = keys

    def change(tree, about):
        node = {"tree": tree, "about": about}
        for key in path:
            node = node[key]
        node[last] = value

    return change


_NET = ("tree", "attributes", "_net_state")
_DESCRIPTION = (*_NET, "description")
_LARGE = 10**12


class _Evil:
    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


def _raw(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def _zip(entries, compression=zipfile.ZIP_STORED, seals=True):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    content = buffer.getvalue()
    return sealed_zip.seal(content, persistence._about()) if seals else content


def _schema(node):
    """Write a file of skops by hand."""
    schema = {"protocol": 2, "_skops_version": "0.16.0", **node}
    return _zip({"schema.json": json.dumps(schema)})


def _function(module, name):
    return {
        "__class__": name,
        "__module__": module,
        "__loader__": "FunctionNode",
        "__id__": 1,
        "content": {"module_path": module, "function": name},
    }


def _nested(depth):
    node: object = None
    for _ in range(depth):
        node = [node]
    return node


def _manifest(manifest, tensors=()):
    """Write any manifest, with the right hash."""
    told = {"sha256": plain_tree._NO_HASH, "format": 1, "manifest": manifest}
    content = safetensors.numpy.save(dict(tensors), {plain_tree._KEY: json.dumps(told)})
    places = (
        plain_tree._place(plain_tree._NO_HASH),
        plain_tree._place(plain_tree._hash(content)),
    )
    return content.replace(*places, 1)


def _table(**info):
    """Write a table of tensors by hand."""
    told = json.dumps(
        {"sha256": plain_tree._NO_HASH, "format": 1, "manifest": {"array": "0"}}
    )
    content = _raw({"__metadata__": {plain_tree._KEY: told}, **info}, bytes(64))
    places = (
        plain_tree._place(plain_tree._NO_HASH),
        plain_tree._place(plain_tree._hash(content)),
    )
    return content.replace(*places, 1)


def _tensor(dtype="F64", shape=(8,), offsets=(0, 64)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


CRAFTED = {
    # of pickle and of other kinds
    "pickle of os.system": lambda: pickle.dumps(_Evil(os.system, "touch evil")),
    "pickle of exec": lambda: pickle.dumps(_Evil(exec, "open('evil', 'w')")),
    "pickle in a zip": lambda: _zip({"data.pkl": pickle.dumps(_Evil(exec, "1"))}),
    "empty": lambda: b"",
    "eight zeros": lambda: bytes(8),
    "text": lambda: b"#!/bin/sh\ntouch evil\n",
    "zip of nothing": lambda: _zip({}),
    "zip without a hash": lambda: _zip({"schema.json": "{}"}, seals=False),
    # headers
    "header of 2^63 bytes": lambda: (2**63).to_bytes(8, "little") + b"{}",
    "header of 2^40 bytes": lambda: (2**40).to_bytes(8, "little") + b"{}",
    "header is a list": lambda: _raw([]),
    "header is deep": lambda: _raw(b"[" * 10**6),
    "header is not text": lambda: _raw(b"\xff\xfe{}"),
    "metadata is a list": lambda: _raw({"__metadata__": []}),
    "metadata is deep": lambda: _raw({"__metadata__": {"sk_deep": "[" * 10**6}}),
    "integer of 10^6 digits": lambda: _raw(
        {"__metadata__": {"sk_deep": f'{{"sha256": {"9" * 10**6}}}'}}
    ),
    # tables of tensors, hash right
    "tensor of 2^60 values": lambda: _table(**{"0": _tensor(shape=(2**60,))}),
    "offsets beyond the end": lambda: _table(
        **{"0": _tensor(shape=(2**20,), offsets=(0, 2**23))}
    ),
    "negative offsets": lambda: _table(**{"0": _tensor(offsets=(-64, 0))}),
    "offsets overlap": lambda: _table(**{"0": _tensor(), "1": _tensor()}),
    "shape overflows": lambda: _table(**{"0": _tensor(shape=(2**32, 2**32, 8))}),
    "unknown dtype": lambda: _table(**{"0": _tensor(dtype="O")}),
    "no dtype": lambda: _table(**{"0": {}}),
    # manifests, hash right
    "manifest names a module": lambda: _manifest({"module": "os"}),
    "manifest is deep": lambda: _manifest(_nested(900)),
    "objects of shape 10^12": lambda: _manifest(
        {"array": {"shape": [_LARGE], "items": []}}
    ),
    "letters of width 0": lambda: _manifest(
        {"array": {"letters": "0"}}, {"0": np.zeros((_LARGE // 10**6, 0), "u4")}
    ),
    "letters without an axis": lambda: _manifest(
        {"array": {"letters": "0"}}, {"0": np.array(97, "u4")}
    ),
    "axes of 10^400": lambda: _manifest({"array": {"shape": [10**400], "items": []}}),
    "state of a list": lambda: _manifest({"random_state": []}),
    "state beyond its words": lambda: _manifest(_state_at(2**30)),
    "state before its words": lambda: _manifest(_state_at(-1)),
    "state of another generator": lambda: _manifest(
        {"random_state": {"dict": [["bit_generator", "__import__('os')"]]}}
    ),
    # trees, hash right
    "unknown class": lambda: _sealed(_set("tree", "class", "Pipeline")),
    "class is a path": lambda: _sealed(_set("tree", "class", "subprocess.Popen")),
    "class is a list": lambda: _sealed(_set("tree", "class", ["MLPClassifier"])),
    "unknown parameter": lambda: _sealed(
        _set("tree", "parameters", "hook", "os.system")
    ),
    "nested parameter": lambda: _sealed(_set("tree", "parameters", "alpha__x", 1)),
    "module as activation": lambda: _sealed(
        _set("tree", "parameters", "activation", "torch.nn.Module")
    ),
    "path as solver": lambda: _sealed(
        _set("tree", "parameters", "solver", "os.system")
    ),
    "path as callback": lambda: _sealed(
        _set("tree", "parameters", "callbacks", ["os.system"])
    ),
    "method as attribute": lambda: _sealed(_set("tree", "attributes", "fit", "x")),
    "class as attribute": lambda: _sealed(_set("tree", "attributes", "__class__", "x")),
    "slot as attribute": lambda: _sealed(_set("tree", "attributes", "__dict__", {})),
    "request of a method": lambda: _sealed(_set("tree", "requests", {"state": {}})),
    "10^12 units": lambda: _sealed(_set(*_DESCRIPTION, "hidden_units", [_LARGE])),
    "10^12 features": lambda: _sealed(_set(*_DESCRIPTION, "n_features", _LARGE)),
    "10^12 outputs": lambda: _sealed(_set(*_DESCRIPTION, "n_outputs", _LARGE)),
    "10^12 members": lambda: _sealed(_set(*_DESCRIPTION, "n_members", _LARGE)),
    "10^12 pieces": lambda: _sealed(_set(*_DESCRIPTION, "maxout_pieces", _LARGE)),
    "10^6 layers": lambda: _sealed(_set(*_DESCRIPTION, "hidden_units", [1] * 10**6)),
    "10^400 units": lambda: _sealed(_set(*_DESCRIPTION, "hidden_units", [10**400])),
    "units that wrap around": lambda: _sealed(
        _set(*_DESCRIPTION, "hidden_units", [np.int32(2**16)] * 2)
    ),
    "pieces that wrap around": lambda: _sealed(
        _set(*_DESCRIPTION, "maxout_pieces", np.int8(64))
    ),
    "path as loss": lambda: _sealed(_set(*_DESCRIPTION, "loss", "os.system")),
    "path as dtype": lambda: _sealed(_set(*_DESCRIPTION, "dtype", "load")),
    "path as activation": lambda: _sealed(_set(*_DESCRIPTION, "activation", ["eval"])),
    "path as normalization": lambda: _sealed(
        _set(*_DESCRIPTION, "normalization", "os.system")
    ),
    "argument of the network": lambda: _sealed(
        _set(*_DESCRIPTION, "device", "cuda:99")
    ),
    "weights not finite": lambda: _sealed(_set(*_NET, "flat", np.full(3, np.inf))),
    "weights of another network": lambda: _sealed(_set(*_NET, "flat", np.zeros(3))),
    "weights are objects": lambda: _sealed(
        _set(*_NET, "flat", np.array([None] * 99, dtype=object))
    ),
    "no classes": lambda: _sealed(lambda tree, _: tree["attributes"].pop("classes_")),
    "other outputs": lambda: _sealed(_set("tree", "attributes", "n_outputs_", 9)),
    "other classes": lambda: _sealed(
        _set("tree", "attributes", "classes_", np.arange(99))
    ),
    "future format": lambda: _sealed(_set("about", "format", 10**9)),
    "format is infinite": lambda: _sealed(_set("about", "format", float("inf"))),
    # files of skops, hash right
    "skops: os.system": lambda: _schema(_function("os", "system")),
    "skops: builtins.eval": lambda: _schema(_function("builtins", "eval")),
    "skops: subprocess.Popen": lambda: _schema(_function("subprocess", "Popen")),
    "skops: unknown loader": lambda: _schema({"__loader__": "EvilNode"}),
    "skops: no schema": lambda: _zip({"other": "{}"}),
    "skops: schema is a list": lambda: _zip({"schema.json": "[]"}),
    "skops: schema is deep": lambda: _zip({"schema.json": "[" * 10**6}),
    "skops: compressed zeros": lambda: _zip(
        {"schema.json": "{}", "zeros": bytes(10**7)}, compression=zipfile.ZIP_DEFLATED
    ),
    "skops: an array of 10^12 values": lambda: _zip(
        {"schema.json": json.dumps(_ARRAY_NODE), "array.npy": _npy_of((_LARGE,))}
    ),
    "skops: an array of objects": lambda: _zip(
        {"schema.json": json.dumps(_ARRAY_NODE), "array.npy": _npy_pickled()}
    ),
    "skops: an array 10^4 times": lambda: _zip(
        {
            "schema.json": json.dumps(_list_of([_ARRAY_NODE] * 10**4)),
            "array.npy": _npy_of((10**6,)) + bytes(8 * 10**6),
        }
    ),
    "skops: parts that overlap": lambda: _overlapping(100),
    "skops: a class of ours that is not listed": lambda: sealed_zip.seal(
        skops.io.dumps(sk_deep.BatchedGridSearchCV(MLPClassifier(), {})),
        persistence._about(),
    ),
}
_ARRAY_NODE = {
    "__class__": "ndarray",
    "__module__": "numpy",
    "__loader__": "NdArrayNode",
    "type": "numpy",
    "file": "array.npy",
    "__id__": 1,
    "protocol": 2,
}


def _state_at(position):
    pairs = {"bit_generator": "MT19937", "has_gauss": 0, "gauss": 0.0}
    words = {"dict": [["key", [1] * 624], ["pos", position]]}
    return {"random_state": {"dict": [*map(list, pairs.items()), ["state", words]]}}


def _list_of(nodes):
    content = [{**node, "__id__": i} for i, node in enumerate(nodes, start=2)]
    return {
        "__class__": "list",
        "__module__": "builtins",
        "__loader__": "ListNode",
        "__id__": 1,
        "content": content,
        "protocol": 2,
    }


def _overlapping(n):
    """Write an archive whose table has the same bytes n times."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", json.dumps(_ARRAY_NODE))
        archive.writestr("array.npy", _npy_of((10**5,)) + bytes(8 * 10**5))
        for i in range(n):
            twin = copy.copy(archive.getinfo("array.npy"))
            twin.filename = f"{i}.npy"
            archive.filelist.append(twin)
    return sealed_zip.seal(buffer.getvalue(), persistence._about())


def _npy_of(shape):
    buffer = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def _npy_pickled():
    buffer = io.BytesIO()
    np.save(buffer, np.array([_Evil(os.system, "touch evil")]), allow_pickle=True)
    return buffer.getvalue()


LISTEN = """
import json, os, resource, sys, time, warnings
warnings.simplefilter("ignore")
import sk_deep, sk_deep.persistence, skops.io
from sk_deep.exceptions import CorruptModelError
for name in ("legal", "legal pipeline"):  # what is imported late is imported now
    sk_deep.load(os.path.join(sys.argv[1], name))
BAD = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.fork",
       "subprocess.Popen", "exec", "compile", "import", "marshal.loads",
       "ctypes.dlopen", "socket.connect", "os.remove", "os.rename", "shutil.rmtree")
heard = []
def listen(event, args):
    if event in BAD or (event == "open" and args[1] not in ("rb", "r", None)):
        heard.append(f"{event}{args!r:.80}")
sys.addaudithook(listen)
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
told = {}
for name in sorted(os.listdir(sys.argv[1])):
    path = os.path.join(sys.argv[1], name)
    with open(path, "rb") as file:
        is_zip = file.read(2) == b"PK"
    heard.clear()
    start = time.perf_counter()
    try:
        sk_deep.load(path)
        error = None
    except Exception as caught:
        error = type(caught).__name__
    seconds = time.perf_counter() - start
    # numpy parses the literal before an array in a zip, and runs nothing
    found = [one for one in heard if not (is_zip and one.startswith('compile(b"{'))]
    told[name] = [error, seconds, found]
print(json.dumps(told))
"""


def malicious_files(n, folder):
    """Load what strangers may have crafted: refused, and nothing is run.

    A process of its own listens to audit events, with little memory to take.
    """
    outcome = Outcome()
    files = folder / "files"
    files.mkdir()
    save(_fitted(), files / "legal")
    save(_pipeline(), files / "legal pipeline")
    names = list(CRAFTED)[:: max(1, len(CRAFTED) // n)]
    for i, name in enumerate(names):
        (files / f"{i}").write_bytes(CRAFTED[name]())
    with _python(LISTEN, files, MEMORY, stdout=-1, cwd=folder) as child:
        told = json.loads(child.communicate(timeout=600)[0])
    for i, name in enumerate(names):
        error, seconds, heard = told[str(i)]
        expected = "ValueError" if name == "future format" else "CorruptModelError"
        is_right = error == expected and seconds < LONGEST and not heard
        outcome.check(is_right, f"{name}: {error}, {seconds:.1f} s, {heard}")
    for name in ("legal", "legal pipeline"):
        outcome.check(told[name][0] is None and not told[name][2], f"{told[name]}")
    outcome.check(not (folder / "evil").exists(), "a command was run")
    return outcome


def mutated_manifests(n, folder):
    """Load files whose manifests a fuzzer has changed, with the right hash."""
    outcome, rng = Outcome(), random.Random(0)
    seeds = [
        persistence._dump(_fitted()),
        persistence._dump(_fitted(normalization="batch", n_members=2, warm_start=True)),
    ]
    seeds = [
        (plain_tree._read_header(one), safetensors.numpy.load(one)) for one in seeds
    ]
    for i in range(n):
        header, tensors = rng.choice(seeds)
        manifest = json.loads(json.dumps(header["manifest"]))
        for _ in range(rng.randint(1, 3)):
            _mutate(manifest, rng)
        content = _manifest(manifest, tensors)
        found, seconds = _load(content, folder)
        is_error = isinstance(found, str)
        is_right = seconds < LONGEST and found in ("CorruptModelError", "ValueError")
        outcome.check(
            is_right if is_error else seconds < LONGEST, f"mutation {i}: {found!r:.80}"
        )
    return outcome


@quiet
def mutated_pipelines(n, folder):
    """Load files of skops whose schema a fuzzer has changed, with the right hash."""
    outcome, rng = Outcome(), random.Random(0)
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(_pipeline()))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(parts["schema.json"])
    for i in range(n):
        changed = json.loads(json.dumps(schema))
        for _ in range(rng.randint(1, 3)):
            _mutate(changed, rng)
        content = _zip({**parts, "schema.json": json.dumps(changed)})
        found, seconds = _load(content, folder)
        is_right = not isinstance(found, str) or found == "CorruptModelError"
        told = found if isinstance(found, str) else type(found)  # some have no repr
        is_right = is_right and seconds < LONGEST
        outcome.check(is_right, f"mutation {i}: {told}, {seconds:.1f} s")
    return outcome


VALUES = (
    *(None, True, -1, 0, 1, 2**31, 2**63, _LARGE, 10**400, 0.5, 1e308, float("nan")),
    *("", "relu", "os.system", "0", "1" * 99, "\ud800", [], [[]], [0, 0], {}),
    *({"array": "0"}, {"tuple": []}, {"dict": []}, {"float": "nan"}, {"scalar": "0"}),
)


def _mutate(manifest, rng):
    """Change a node somewhere in a manifest: replace, remove, double or swap."""
    places = list(_places(manifest))
    parent, key = rng.choice(places)
    way = rng.randrange(5)
    if way == 0 and isinstance(parent, list):
        del parent[key]
    elif way == 1 and isinstance(parent, list):
        parent.insert(key, parent[key])
    elif way == 2:
        other, other_key = rng.choice(places)
        parent[key] = json.loads(json.dumps(other[other_key]))
    elif way == 3 and isinstance(parent[key], int):
        parent[key] += rng.choice([-1, 1, 1000])
    else:
        parent[key] = rng.choice(VALUES)


def _places(node):
    keys = range(len(node)) if isinstance(node, list) else list(node)
    for key in keys:
        yield node, key
        if isinstance(node[key], list | dict):
            yield from _places(node[key])


def golden_files(n, folder):
    """Load one file of each format that was released."""
    outcome = Outcome()
    for path in sorted(DATA.glob("*.sk_deep"))[:n]:
        model = load(path)
        outcome.check(model.predict(X).shape == Y.shape, path.name)
    for kind in (MLPClassifier, MLPRegressor, LogisticRegression):
        save(kind(), folder / "model")
        outcome.check(type(load(folder / "model")) is kind, f"{kind}, unfitted")
    return outcome


CAMPAIGNS = {
    "kill -9 while saving": Campaign("faults", kill_while_saving, 5, 200),
    "disk full": Campaign("faults", disk_full, 10, 40),
    "SIGINT while saving": Campaign("faults", interrupt_while_saving, 10, 100),
    "truncated files": Campaign("faults", truncations, 200, 10**6),
    "flipped bits": Campaign("faults", bit_flips, 500, 10_000),
    "spliced files": Campaign("faults", splices, 60, 500),
    "malicious files": Campaign("faults", malicious_files, 20, 100),
    "mutated manifests": Campaign("faults", mutated_manifests, 200, 5000),
    "mutated pipelines": Campaign("faults", mutated_pipelines, 50, 2000),
    "golden files": Campaign("faults", golden_files, 100, 100),
}
