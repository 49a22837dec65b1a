"""Files of fitted estimators that are safe to load, and never half written."""

import hashlib
import io
import json
import os
import stat
import string
import zipfile
from collections.abc import Callable
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn import config_context
from sklearn.base import BaseEstimator, is_classifier

from sk_deep._classifier import MLPClassifier
from sk_deep._data.columns import ColumnEncoder
from sk_deep._engine.state import architecture_of
from sk_deep._estimator import checks
from sk_deep._estimator.base import BaseMLP
from sk_deep._files import plain_tree
from sk_deep._files.atomic import atomic_write
from sk_deep._regressor import MLPRegressor
from sk_deep._tabular import TabularMLPClassifier, TabularMLPRegressor
from sk_deep._version import __version__
from sk_deep.exceptions import CorruptModelError
from sk_deep.network import Architecture

_FORMAT = 1  # of the files; a change that older readers cannot read counts it up
_CLASSES: dict[str, type[BaseMLP]] = {
    "MLPClassifier": MLPClassifier,
    "MLPRegressor": MLPRegressor,
    "TabularMLPClassifier": TabularMLPClassifier,
    "TabularMLPRegressor": TabularMLPRegressor,
}

_NUMBER = (int, float, np.number)
_CURVE = (list, type(None))
_MAYBE = (*_NUMBER, type(None))
# what a fit leaves on an estimator -> its types
_ATTRIBUTES: dict[str, tuple[type, ...]] = {
    "n_features_in_": (int,),
    "feature_names_in_": (np.ndarray,),
    "_columns": (dict,),
    "_target_mean": (np.ndarray,),
    "_target_scale": (np.ndarray,),
    "_target_range": (np.ndarray,),
    "oof_decision_function_": (np.ndarray,),
    "oof_prediction_": (np.ndarray,),
    "_oof_errors": (np.ndarray,),
    "classes_": (np.ndarray,),
    "n_outputs_": (int,),
    "n_layers_": (int,),
    "n_iter_": (int,),
    "t_": (int,),
    "out_activation_": (str,),
    "loss_": _NUMBER,
    "best_loss_": _MAYBE,
    "best_validation_score_": _MAYBE,
    "loss_curve_": _CURVE,
    "validation_loss_curve_": _CURVE,
    "validation_scores_": _CURVE,
    "learning_rate_curve_": _CURVE,
    "gradient_norm_curve_": _CURVE,
    "update_ratio_curve_": _CURVE,
    "_target_type": (str,),
    "_sparse_target": (bool,),
    "_threshold": (float,),
    "_streams": (bool,),
    "_watched": (tuple, type(None)),
    "_net_state": (dict,),
    "_sk_deep_version": (str,),
}
# what predictions go by
_ALWAYS = {"n_features_in_", "n_layers_", "n_outputs_", "out_activation_"}
_OF_CLASSIFIERS = {"classes_", "_sparse_target", "_target_type", "_threshold"}
_REQUESTS = "_metadata_request"  # scikit-learn's, of which others know methods only

_ZIP = b"PK\x03\x04"  # how a file of skops begins
_SCHEMA = "schema.json"  # the part of it that names the others
_N_DIGITS = 64  # of a SHA-256


def save(estimator: BaseEstimator, path: str | os.PathLike) -> str:
    """Save an estimator to a file that is safe to load.

    Parameters
    ----------
    estimator : estimator
        A network of this package, fitted or not; or another estimator of
        scikit-learn with one inside, such as a Pipeline, for which skops is needed:
        ``pip install "sk_deep[skops]"``.
    path : str or path-like
        The file. It is replaced when the new one is complete: whatever happens before,
        the former one is there.

    Returns
    -------
    sha256 : str
        The SHA-256 of the file in hexadecimal digits, as ``sha256sum`` tells it.
        `load` can be told to expect it.

    Raises
    ------
    TypeError
        If it has what is not plain data: a function or a class among its parameters, a
        callback, an estimator that skops does not trust. Searches have such; save
        their `best_estimator_`.
    OSError
        If the file cannot be written.

    See Also
    --------
    load : Load it.

    Notes
    -----
    The file of a network is one of safetensors with a manifest in JSON, and that of
    another estimator one of skops. Both have a SHA-256 of all of their bytes.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> import sk_deep
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = sk_deep.MLPClassifier(max_iter=500, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "iris.sk_deep")
    ...     sha256 = sk_deep.save(clf, path)
    ...     same = sk_deep.load(path)
    >>> same.predict(X[:2])
    array([0, 0])
    """
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(
            f"estimator must be an estimator of scikit-learn, however: {estimator!r}."
        )
    is_ours = type(estimator) in _CLASSES.values()
    content = _dump(estimator) if is_ours else _dump_by_skops(estimator)
    with atomic_write(path) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def load(
    path: str | os.PathLike,
    *,
    max_bytes: int | None = None,
    expected_sha256: str | None = None,
) -> BaseEstimator:
    """Load an estimator that `save` has written; no code in the file is run.

    Parameters
    ----------
    path : str or path-like
        The file.
    max_bytes : int, default=None
        The largest size of a file that is read. None reads what is there; the memory
        that is taken grows with the size alone.
    expected_sha256 : str, default=None
        SHA-256 of the file in hexadecimal digits, as `save` returns it. A hash from a
        source that you trust tells that the file is the one that was meant.

    Returns
    -------
    estimator : estimator
        As it was saved.

    Raises
    ------
    CorruptModelError
        If the file is not as it was written, or not one that `save` writes. It is a
        ValueError.
    ValueError
        If the file is larger than `max_bytes`, or of a newer version of sk_deep.
    OSError
        If the file cannot be read.

    Warns
    -----
    InconsistentVersionWarning
        If another version of sk_deep wrote the file.
    DeviceFallbackWarning
        If the estimator's `device` is not there; it predicts on the CPU.

    See Also
    --------
    save : Save an estimator.

    Examples
    --------
    See `save`.
    """
    content = _read(path, max_bytes)
    _check_expected(content, expected_sha256)
    return (_load_by_skops if content.startswith(_ZIP) else _load)(content)


def trusted_types() -> list[str]:
    """List the types of this package that a file of skops may hold.

    Returns
    -------
    names : list of str
        For ``skops.io.load(path, trusted=sk_deep.trusted_types())``.

    See Also
    --------
    load : Load a file of skops that `save` has written.

    Examples
    --------
    >>> import sk_deep
    >>> sk_deep.trusted_types()[:2]
    ['sk_deep._classifier.MLPClassifier', 'sk_deep._regressor.MLPRegressor']
    """
    return [f"{kind.__module__}.{kind.__qualname__}" for kind in _CLASSES.values()]


# ---- both kinds of files -------------------------------------------------------------


def _read(path: str | os.PathLike, max_bytes: int | None) -> bytes:
    if max_bytes is not None and not (
        isinstance(max_bytes, Integral) and max_bytes >= 1
    ):
        raise ValueError(f"max_bytes must be None or at least 1, however: {max_bytes}.")
    with Path(path).open("rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"path must be that of a file, however: {path}.")
        if max_bytes is not None and status.st_size > max_bytes:
            raise ValueError(
                f"the file must have at most max_bytes={max_bytes} bytes, however: it "
                f"has {status.st_size}."
            )
        return file.read(status.st_size)


def _check_expected(content: bytes, expected: str | None) -> None:
    if expected is None:
        return
    if len(expected) != _N_DIGITS or not set(expected) <= set(string.hexdigits):
        raise ValueError(
            f"expected_sha256 must be 64 hexadecimal digits, however: {expected!r}."
        )
    found = hashlib.sha256(content).hexdigest()
    if found != expected.lower():
        raise CorruptModelError(
            f"the file's SHA-256 must be {expected.lower()}, however: {found}."
        )


def _about() -> dict[str, Any]:
    """Tell the format, and what wrote the file."""
    versions = {"sk_deep": __version__, "torch": torch.__version__}
    versions |= {"scikit-learn": sklearn.__version__, "numpy": np.__version__}
    return {"format": _FORMAT, "versions": versions}


def _check_format(about: dict[str, Any]) -> None:
    found = about.get("format")
    if not isinstance(found, int) or found < 1:
        raise CorruptModelError(
            f"the file's format must be a positive integer, however: {found!r}."
        )
    if found > _FORMAT:
        raise ValueError(
            f"the file is of format {found}, and this version of sk_deep "
            f"({__version__}) reads formats up to {_FORMAT}: upgrade sk_deep."
        )


# ---- networks: safetensors -----------------------------------------------------------


def _dump(estimator: BaseMLP) -> bytes:
    estimator._validate_params()
    parameters = estimator.get_params(deep=False)
    attributes = {
        name: value
        for name, value in estimator.__getstate__().items()
        if name not in parameters
    }
    requests = attributes.pop(_REQUESTS, None)
    tree = {
        "class": type(estimator).__name__,
        "parameters": parameters,
        "attributes": attributes,
        "requests": {} if requests is None else _requests_of(estimator),
    }
    return plain_tree.dump(tree, _about())


def _requests_of(estimator: BaseMLP) -> dict[str, dict[str, Any]]:
    """Tell which metadata the methods request, scikit-learn's routing."""
    routing = estimator.get_metadata_routing()
    methods = [name for name in vars(routing) if hasattr(estimator, name)]
    asked = {name: getattr(routing, name).requests for name in methods}
    return {name: dict(requests) for name, requests in asked.items() if requests}


def _load(content: bytes) -> BaseMLP:
    about = plain_tree.read_metadata(content)
    tree = plain_tree.load(content)
    # after the hash: a newer file is told from one in which a bit has flipped
    _check_format(about)
    return _legal(lambda: _build(**_named(tree)))


def _legal(build: Callable[[], Any]) -> Any:
    """Build from content that may be anything; what goes wrong is the file's fault."""
    try:
        return build()
    except (CorruptModelError, Warning):
        raise
    except Exception as error:  # there is no end of what it may be
        raise CorruptModelError(
            f"the file has not what makes an estimator: {error}"
        ) from error


def _named(tree: Any) -> dict[str, Any]:
    """Rename what a file calls by reserved words."""
    return {("kind" if name == "class" else name): one for name, one in tree.items()}


def _build(
    kind: str,
    parameters: dict[str, Any],
    attributes: dict[str, Any],
    requests: dict[str, dict[str, Any]],
) -> BaseMLP:
    estimator = _CLASSES[kind](**parameters)
    estimator._validate_params()
    checks.checked_callbacks(estimator)
    of_classifiers = _OF_CLASSIFIERS if is_classifier(estimator) else set()
    _check_attributes(attributes, _ALWAYS | of_classifiers)
    with config_context(enable_metadata_routing=True):
        for method, asked in requests.items():
            getattr(estimator, f"set_{method}_request")(**asked)
    estimator.__setstate__({**vars(estimator), **attributes})
    return estimator


def _check_attributes(attributes: dict[str, Any], needed: set[str]) -> None:
    """Check the names and types of what a fit leaves, and that they belong together."""
    for name, value in attributes.items():
        if not isinstance(value, _ATTRIBUTES[name]):
            raise ValueError(
                f"{name} must be of {_ATTRIBUTES[name]}, however: {value!r:.50}."
            )
    if "_net_state" not in attributes:
        return
    missing = needed - attributes.keys()
    if missing:
        raise ValueError(f"a fit leaves {sorted(missing)}, too.")
    architecture = architecture_of(attributes["_net_state"])
    n_features = architecture.n_features
    if "_columns" in attributes:
        encoder = ColumnEncoder.from_dict(attributes["_columns"])
        _check_encoder(encoder, architecture)
        n_features = encoder.n_features
    pairs = [
        (attributes["n_features_in_"], n_features),
        (attributes["n_outputs_"], architecture.n_outputs),
        (len(attributes.get("feature_names_in_", range(n_features))), n_features),
        (attributes["n_layers_"], len(architecture.hidden_units) + 2),
    ]
    if attributes.get("_target_type", "binary") != "binary":  # of classifiers
        pairs.append((len(attributes["classes_"]), architecture.n_outputs))
    for ours, theirs in pairs:
        if ours != theirs:
            raise ValueError(
                "the network and the attributes must be those of one fit, however: "
                f"{ours} and {theirs} differ."
            )


def _check_encoder(encoder: ColumnEncoder, architecture: Architecture) -> None:
    """Check that encoded columns are what a network takes; both are from a file."""
    names = "n_features", "categories", "n_periodic"
    encoded = encoder.n_encoded, encoder.embedded_categories, encoder.n_periodic
    expected = tuple(getattr(architecture, name) for name in names)
    if encoded != expected:
        raise ValueError(
            f"the columns must give what the network takes, {expected}, got {encoded}."
        )


# ---- other estimators: skops ---------------------------------------------------------


def _skops_io():
    try:
        import skops.io
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "skops is needed for estimators that are not a network alone: "
            'pip install "sk_deep[skops]".'
        ) from error
    return skops.io


def _dump_by_skops(estimator: BaseEstimator) -> bytes:
    skops_io = _skops_io()
    content = skops_io.dumps(estimator)
    unknown = _untrusted(skops_io, content)
    if unknown:
        raise TypeError(
            "the types in a file must be scikit-learn's plain ones or those of "
            f"trusted_types(), however: {', '.join(unknown)}. Of a search, save "
            "best_estimator_."
        )
    return _seal(content)


def _untrusted(skops_io, content: bytes) -> list[str]:
    found = set(skops_io.get_untrusted_types(data=content))
    return sorted(found - set(trusted_types()))


def _seal(content: bytes) -> bytes:
    """Let the archive's comment tell of the file, and end in its hash."""
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = json.dumps(_about()).encode() + bytes(_N_DIGITS)
    sealed = buffer.getvalue()[:-_N_DIGITS]
    return sealed + hashlib.sha256(sealed).hexdigest().encode()


def _unseal(content: bytes) -> dict[str, Any]:
    """Check the hash and the sizes; return what the file tells of itself."""
    sealed, digits = content[:-_N_DIGITS], content[-_N_DIGITS:]
    if hashlib.sha256(sealed).hexdigest().encode() != digits:
        raise CorruptModelError(
            "the file has changed since it was written, or sk_deep.save has not written"
            " it; skops.io.load(path, trusted=sk_deep.trusted_types()) reads others."
        )
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise CorruptModelError("the file's parts must not be compressed.")
        if sum(entry.file_size for entry in entries) > len(content):
            raise CorruptModelError("the file's parts must not overlap.")
        _check_no_part_is_taken_twice(archive.read(_SCHEMA))
        return json.loads(archive.comment[:-_N_DIGITS])


def _check_no_part_is_taken_twice(schema: bytes) -> None:
    """Check that the memory for the parts is no more than the file's size."""
    owners: dict[str, Any] = {}

    def note(node: dict[str, Any]) -> dict[str, Any]:
        if "file" in node:
            owner = node.get("__id__")  # skops reads a node of the same id once
            if node["file"] in owners and (not owner or owner != owners[node["file"]]):
                raise CorruptModelError(f"{node['file']!r:.50} must be of one array.")
            owners[node["file"]] = owner
        return node

    json.loads(schema, object_hook=note)


def _load_by_skops(content: bytes) -> BaseEstimator:
    skops_io = _skops_io()
    _check_format(_legal(lambda: _unseal(content)))
    unknown = _legal(lambda: _untrusted(skops_io, content))
    if unknown:
        raise CorruptModelError(
            "the types in a file must be scikit-learn's plain ones or those of "
            f"trusted_types(), however: {', '.join(unknown)}."
        )
    return _legal(lambda: skops_io.loads(content, trusted=trusted_types()))
