"""Export to ONNX: the network in prediction, and the pipeline before it.

skl2onnx, ``pip install "sk_deep[onnx]"``, converts pipelines and their other steps.
The converters of the networks are registered here; the networks build their graph.
"""

import os

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils.validation import check_is_fitted

from sk_deep._files.atomic import atomic_write
from sk_deep.export._converters import check_size, check_skl2onnx, register
from sk_deep.export._inputs import inputs_of, plain, settle_inputs

MIN_OPSET = 13  # since which softmax acts on one axis and sums take axes as inputs


def to_onnx(
    estimator: BaseEstimator, path: str | os.PathLike, *, opset: int | None = None
) -> None:
    """Write a fitted network, or a pipeline that ends in one, as a file of ONNX.

    Parameters
    ----------
    estimator : estimator
        A fitted network of this package, a `Pipeline` whose other steps skl2onnx can
        convert, or a search over either, of which `best_estimator_` is written.

    path : str or path-like
        Path of the file. It is written whole or not at all.

    opset : int, default=None
        Version of ONNX's operators, 13 or higher; None is the newest version that
        skl2onnx supports.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If `estimator` is not an estimator.
    ValueError
        If `opset` is out of range, the file would be larger than 2 GB, or the network
        cannot be expressed in ONNX: an activation class, class labels that are neither
        strings nor integers, `categorical_features`, or
        `numerical_scaling="quantile"`.

    See Also
    --------
    sk_deep.export.register : Let skl2onnx itself convert the networks.

    Notes
    -----
    A classifier has the outputs `label`, of int64 or strings, and `probabilities`, what
    `predict_proba` gives, or `decision_function` where there are no probabilities; a
    regressor has `variable`, of shape (n_samples, n_outputs).

    A network alone has one input `X`, of the network's dtype, or of float64 if it
    encodes columns. A pipeline takes numbers as float32. It has one input `X`, too, or
    one of shape (n_samples, 1) for each column that is used: if it begins with a
    `ColumnTransformer` that was fitted to named columns, or takes text beside numbers.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import onnxruntime
    >>> from sk_deep import MLPClassifier, to_onnx
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(8, max_iter=5, n_iter_no_change=5).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_onnx(model, Path(folder) / "model.onnx")
    ...     session = onnxruntime.InferenceSession(Path(folder) / "model.onnx")
    >>> label, probabilities = session.run(None, {"X": X})
    >>> bool((label == model.predict(X)).all())
    True
    """
    check_skl2onnx()
    import skl2onnx

    check_is_fitted(estimator)
    opset = _checked_opset(opset)
    register()
    estimator = plain(estimator)
    inputs = inputs_of(estimator)
    model = skl2onnx.to_onnx(
        estimator,
        initial_types=inputs,
        options={"zipmap": False} if is_classifier(estimator) else None,
        target_opset=opset,
    )
    settle_inputs(model.graph, [name for name, _ in inputs])
    check_size(model.ByteSize())
    with atomic_write(path) as file:
        file.write(model.SerializeToString(deterministic=True))


def _checked_opset(opset: int | None) -> int:
    from skl2onnx import get_latest_tested_opset_version

    newest = get_latest_tested_opset_version()
    opset = newest if opset is None else opset
    if not isinstance(opset, int | np.integer) or not MIN_OPSET <= opset <= newest:
        raise ValueError(
            f"opset must be an integer in [{MIN_OPSET}, {newest}], got {opset!r}."
        )
    return int(opset)


__all__ = ["register", "to_onnx"]
