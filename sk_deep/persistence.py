"""Save estimators to files that are safe to load and never half written."""

import hashlib
import os
import stat
import string
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
from sk_deep._files import plain_tree, sealed_zip
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
# a load rebuilds them from the state of the net
_REBUILT = {"net_", "coefs_", "intercepts_"}
# what predictions need
_NEEDED = {"n_features_in_", "n_layers_", "n_outputs_", "out_activation_"}
_NEEDED_BY_CLASSIFIERS = {"classes_", "_sparse_target", "_target_type", "_threshold"}
_REQUESTS = "_metadata_request"  # private to scikit-learn: written by its methods

_N_DIGITS = 64  # of a SHA-256


def save(estimator: BaseEstimator, path: str | os.PathLike) -> str:
    """Save an estimator to a file that is safe to load.

    Parameters
    ----------
    estimator : estimator
        An estimator of this package, fitted or not; or another estimator of
        scikit-learn with one inside, such as a Pipeline, which needs skops:
        ``pip install "sk_deep[skops]"``. Attributes that you have set, such as
        ``estimator.note = "for team A"``, are saved if their names are public and not
        names of the class, and their values plain data.
    path : str or path-like
        The file. An existing file is replaced when the new one is complete, and stays
        if anything fails before.

    Returns
    -------
    sha256 : str
        The SHA-256 of the file in hexadecimal digits, as ``sha256sum`` prints it, for
        `expected_sha256` of `load`.

    Raises
    ------
    TypeError
        If the estimator holds anything but plain data: a function or a class as a
        parameter, a callback, an estimator that skops does not trust, an attribute that
        cannot be saved. Searches do; save their `best_estimator_`.
    OSError
        If the file cannot be written.

    See Also
    --------
    load : Load an estimator.

    Notes
    -----
    An estimator of this package is saved as safetensors with a manifest in JSON,
    another estimator by skops. Both files hold a SHA-256 of all of their bytes.

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
            f"estimator must be an estimator of scikit-learn, got {estimator!r}."
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
    """Load an estimator from a file of `save`; no code in the file is run.

    Parameters
    ----------
    path : str or path-like
        The file.
    max_bytes : int, default=None
        Largest size of the file; None is no limit. The memory needed grows with the
        size alone.
    expected_sha256 : str, default=None
        SHA-256 of the file in hexadecimal digits, as `save` returns it. A hash from a
        trusted source proves that the file is the expected one.

    Returns
    -------
    estimator : estimator
        The estimator as it was saved.

    Raises
    ------
    CorruptModelError
        If the file has changed since it was written, or was not written by `save`. It
        is a ValueError.
    ValueError
        If the file is larger than `max_bytes`, or of a newer version of sk_deep.
    OSError
        If the file cannot be read.

    Warns
    -----
    InconsistentVersionWarning
        If another version of sk_deep wrote the file.
    DeviceFallbackWarning
        If the estimator's `device` is not available; it predicts on the CPU.

    See Also
    --------
    save : Save an estimator.

    Examples
    --------
    See `save`.
    """
    content = _read(path, max_bytes)
    _check_expected(content, expected_sha256)
    return (_load_by_skops if content.startswith(sealed_zip.FIRST_BYTES) else _load)(
        content
    )


def trusted_types() -> list[str]:
    """List the types of this package that a skops file may hold.

    Returns
    -------
    names : list of str
        For ``skops.io.load(path, trusted=sk_deep.trusted_types())``.

    See Also
    --------
    load : Load a skops file that `save` has written.

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
        raise ValueError(f"max_bytes must be None or at least 1, got {max_bytes}.")
    with Path(path).open("rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"path must be that of a file, got {path}.")
        if max_bytes is not None and status.st_size > max_bytes:
            raise ValueError(
                f"the file must have at most max_bytes={max_bytes} bytes, got "
                f"{status.st_size}."
            )
        return file.read(status.st_size)


def _check_expected(content: bytes, expected: str | None) -> None:
    if expected is None:
        return
    if len(expected) != _N_DIGITS or not set(expected) <= set(string.hexdigits):
        raise ValueError(
            f"expected_sha256 must be 64 hexadecimal digits, got {expected!r}."
        )
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected.lower():
        raise CorruptModelError(
            f"the file's SHA-256 must be {expected.lower()}, got {digest}."
        )


def _about() -> dict[str, Any]:
    """Return the format, and the versions that write the file."""
    versions = {"sk_deep": __version__, "torch": torch.__version__}
    versions |= {"scikit-learn": sklearn.__version__, "numpy": np.__version__}
    return {"format": _FORMAT, "versions": versions}


def _check_format(about: dict[str, Any]) -> None:
    version = about.get("format")
    if not isinstance(version, int) or version < 1:
        raise CorruptModelError(
            f"the file's format must be a positive integer, got {version!r}."
        )
    if version > _FORMAT:
        raise ValueError(
            f"the file is of format {version}, and this version of sk_deep "
            f"({__version__}) reads formats up to {_FORMAT}: upgrade sk_deep."
        )


# ---- estimators of this package: safetensors -----------------------------------------


def _dump(estimator: BaseMLP) -> bytes:
    estimator._validate_params()
    parameters = estimator.get_params(deep=False)
    attributes = {
        name: value
        for name, value in estimator.__getstate__().items()
        if name not in parameters
    }
    requests = attributes.pop(_REQUESTS, None)
    for name in attributes:
        if not _is_known(name, estimator):
            raise TypeError(
                "an attribute can be saved if its name is public and not a name of the "
                f"class, got {name!r}."
            )
    tree = {
        "class": type(estimator).__name__,
        "parameters": parameters,
        "attributes": attributes,
        "requests": {} if requests is None else _requests_of(estimator),
    }
    return plain_tree.dump(tree, _about())


def _is_known(name: Any, estimator: BaseMLP) -> bool:
    """Whether a fit leaves an attribute, or a user may have set it.

    One of a user must not hide a method or a parameter, in a file of a stranger either.
    """
    if name in _ATTRIBUTES:
        return True
    is_public = isinstance(name, str) and name.isidentifier() and name[0] != "_"
    taken = estimator.get_params(deep=False).keys() | _REBUILT
    return is_public and name not in taken and not hasattr(type(estimator), name)


def _requests_of(estimator: BaseMLP) -> dict[str, dict[str, Any]]:
    """Return the metadata that each method requests in scikit-learn's routing."""
    routing = estimator.get_metadata_routing()
    methods = [name for name in vars(routing) if hasattr(estimator, name)]
    requests = {name: dict(getattr(routing, name).requests) for name in methods}
    return {name: request for name, request in requests.items() if request}


def _load(content: bytes) -> BaseMLP:
    about = plain_tree.read_metadata(content)
    tree = plain_tree.load(content)
    # after the hash: a flipped bit does not make a file a newer one
    _check_format(about)
    return _legal(lambda: _build(**_named(tree)))


def _legal(build: Callable[[], Any]) -> Any:
    """Build from content that may be anything; any error means that it is corrupt."""
    try:
        return build()
    except (CorruptModelError, Warning):
        raise
    except Exception as error:  # content may raise anything
        raise CorruptModelError(
            f"no estimator can be built from the file: {error}"
        ) from error


def _named(tree: Any) -> dict[str, Any]:
    """Rename the keys of a file that are reserved words in Python."""
    return {("kind" if key == "class" else key): part for key, part in tree.items()}


def _build(
    kind: str,
    parameters: dict[str, Any],
    attributes: dict[str, Any],
    requests: dict[str, dict[str, Any]],
) -> BaseMLP:
    estimator = _CLASSES[kind](**parameters)
    estimator._validate_params()
    checks.checked_callbacks(estimator)
    _check_names(attributes, estimator)
    if "_net_state" in attributes:
        _check_consistency(attributes, is_classifier(estimator))
    with config_context(enable_metadata_routing=True):
        for method, request in requests.items():
            getattr(estimator, f"set_{method}_request")(**request)
    estimator.__setstate__({**vars(estimator), **attributes})
    return estimator


def _check_names(attributes: dict[str, Any], estimator: BaseMLP) -> None:
    """Check the names of attributes, and the types of those that a fit leaves."""
    for name, value in attributes.items():
        if not _is_known(name, estimator):
            raise CorruptModelError(f"the file has an unknown attribute, {name!r:.50}.")
        kinds = _ATTRIBUTES.get(name, (object,))
        if not isinstance(value, kinds):
            raise ValueError(f"{name} must be of {kinds}, got {value!r:.50}.")


def _check_consistency(attributes: dict[str, Any], is_of_classifier: bool) -> None:
    """Check that the attributes are those of one fit."""
    needed = _NEEDED | (_NEEDED_BY_CLASSIFIERS if is_of_classifier else set())
    missing = needed - attributes.keys()
    if missing:
        raise ValueError(f"the file lacks attributes of a fit: {sorted(missing)}.")
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
    for of_attributes, of_network in pairs:
        if of_attributes != of_network:
            raise ValueError(
                "the network and the attributes must be those of one fit, got "
                f"{of_attributes} and {of_network}."
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
            "skops is needed to save and load estimators that are not of sk_deep: "
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
            f"trusted_types(), got {', '.join(unknown)}. Save best_estimator_ of a "
            "search."
        )
    return sealed_zip.seal(content, _about())


def _untrusted(skops_io, content: bytes) -> list[str]:
    types = set(skops_io.get_untrusted_types(data=content))
    return sorted(types - set(trusted_types()))


def _load_by_skops(content: bytes) -> BaseEstimator:
    skops_io = _skops_io()
    _check_format(_legal(lambda: sealed_zip.unseal(content)))
    unknown = _legal(lambda: _untrusted(skops_io, content))
    if unknown:
        raise CorruptModelError(
            "the types in a file must be scikit-learn's plain ones or those of "
            f"trusted_types(), got {', '.join(unknown)}."
        )
    return _legal(lambda: skops_io.loads(content, trusted=trusted_types()))
