"""What the classifiers share."""

from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import type_of_target, unique_labels

from sk_deep._compat import (
    available_if,
    check_partial_fit_first_call,
    fit_context,
)
from sk_deep._estimator.availability import stochastic_only
from sk_deep._estimator.base import BaseMLP
from sk_deep._estimator.targets import ClassTargets
from sk_deep._typing import MatrixLike, RandomStateLike
from sk_deep.losses import LOSSES, get_loss


def _has_probability(estimator):
    """Whether the outputs are probabilities, by the loss of the last fit if any."""
    loss = (
        estimator.net_.criterion_.loss if hasattr(estimator, "net_") else estimator.loss
    )
    return (
        not isinstance(loss, str) or loss not in LOSSES or LOSSES[loss].has_probability
    )


class BaseMLPClassifier(ClassifierMixin, BaseMLP):
    """What the classifiers share: from labels to targets, and from outputs back."""

    classes_: NDArray
    oof_decision_function_: NDArray

    def _targets_of(self, y, weight, *, is_fresh, is_incremental, validates=False):
        if is_fresh and not is_incremental:
            targets = ClassTargets.learn(y)
        else:
            targets = self._targets
            targets.check(y, must_have_all=self.warm_start and not validates)
        return targets.for_loss(get_loss(self.loss))

    def _targets_from_state(self, state):
        return ClassTargets.from_state(state)

    def _note_classes(self, y, classes):
        if check_partial_fit_first_call(self, classes):
            is_multilabel = type_of_target(y).startswith("multilabel")
            self._targets = ClassTargets.learn(y if is_multilabel else classes)
            self.classes_ = self._targets.classes
            if is_multilabel and set(unique_labels(classes)) != set(self.classes_):
                raise ValueError(
                    "classes must be the columns of `y` where each sample has several "
                    f"labels, {self.classes_}, got {classes}."
                )

    def _weigh_by_targets(self, weight, y, is_incremental):
        if self.class_weight is None:
            return weight
        if is_incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' is not supported for partial_fit, which sees "
                "a part of the samples. Compute the weights of all samples with "
                "sklearn.utils.compute_class_weight and pass them as a dict."
            )
        by_class = compute_sample_weight(self._checked_class_weight(y), y)
        return by_class if weight is None else weight * by_class

    def _checked_class_weight(self, y):
        """Check the weights of a dict; those of classes that y lacks are not needed."""
        if not isinstance(self.class_weight, dict):
            return self.class_weight
        if self._targets.is_multilabel:
            raise ValueError(
                "class_weight must be 'balanced' or None where samples have several "
                f"labels, got class_weight={self.class_weight}."
            )
        unknown = [c for c in self.class_weight if c not in self.classes_]
        if unknown:
            raise ValueError(
                f"class_weight must have keys of the classes {self.classes_.tolist()}, "
                f"got {unknown}."
            )
        for weight in self.class_weight.values():
            if not isinstance(weight, Real) or not 0 <= weight < np.inf:
                raise ValueError(
                    "class_weight must have finite values >= 0, got "
                    f"{self.class_weight}."
                )
        present = set(np.unique(y).tolist())
        return {c: w for c, w in self.class_weight.items() if c in present}

    @stochastic_only
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: MatrixLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Train for one more epoch, on the given data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            The class labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights; None is one each.

        classes : array-like of shape (n_classes,), default=None
            All labels of all calls. The first call needs it; y need not hold them all.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If the classes are not told in the first call, or y has others.
        """
        return self._partial_fit(X, y, sample_weight, classes)

    def predict(self, X: MatrixLike) -> Any:
        """Predict the class of each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_classes)
            The class labels, or indicators of several labels.
        """
        outputs = self._outputs(X)
        return self._targets.labels(outputs)

    @available_if(lambda self: not _has_probability(self))
    def decision_function(self, X: MatrixLike) -> NDArray:
        """Compute the outputs that the classes are decided by.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        decisions : ndarray of shape (n_samples,) or (n_samples, n_classes)
            The greatest one decides; of two classes, or of several labels, a positive
            one is for the second class, or for the label.
        """
        outputs = self._outputs(X)
        return self._targets.decisions(outputs)

    @available_if(lambda self: _has_probability(self))
    def predict_proba(self, X: MatrixLike) -> NDArray:
        """Estimate the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Of the classes in the order of `classes_`. Those of several labels do not
            sum to one.
        """
        outputs = self._outputs(X)
        return self._targets.probabilities(outputs)

    @available_if(lambda self: _has_probability(self))
    def predict_proba_samples(
        self, X: MatrixLike, n_samples: int, *, random_state: RandomStateLike = 0
    ) -> NDArray:
        """Sample the probabilities, to see how sure they are.

        With dropout a sample is a prediction with units dropped (Monte-Carlo dropout);
        without it, a sample is a member's.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        n_samples : int
            Number of samples; without dropout at most `n_members`.

        random_state : int, RandomState instance or None, default=0
            Source of the masks.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n, n_classes)
            Each sample as `predict_proba` returns it.

        References
        ----------
        Y. Gal and Z. Ghahramani, "Dropout as a Bayesian approximation: representing
        model uncertainty in deep learning", ICML 2016.
        """
        samples = self._samples(X, n_samples, random_state)
        return self._targets.probabilities(samples)

    @available_if(lambda self: _has_probability(self))
    def predict_log_proba(self, X: MatrixLike) -> NDArray:
        """Estimate the logarithm of the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            Logarithms of what `predict_proba` returns.
        """
        # NOTE[DIFF] zero probabilities: scikit-learn warns of their logarithm
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def __getstate__(self):
        state = super().__getstate__()
        if isinstance(self.class_weight, dict):  # as pairs: skops loses some keys
            state["class_weight"] = list(self.class_weight.items())
        return state

    def __setstate__(self, state):
        if isinstance(state["class_weight"], list):
            state = {**state, "class_weight": dict(state["class_weight"])}
        super().__setstate__(state)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
