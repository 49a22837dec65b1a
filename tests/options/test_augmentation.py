"""Augmentations: their laws, what they keep of a batch, their errors."""

import inspect
import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from torch.nn import functional as F

from sk_deep import MLPClassifier
from sk_deep.augmentation import (
    AUGMENTATIONS,
    get_augmentation,
    rotate_images,
    shift_images,
)

N_FEATURES = 30
IMAGES = {"image_shape": (5, 6)}
CASES = [
    ("noise", {}),
    ("noise", {"scale": 2}),
    ("mixup", {}),
    ("mixup", {"alpha": 5}),
    ("shift", IMAGES),
    ("shift", {"image_shape": [5, 3, 2], "max_shift": 1.5}),
    ("rotate", IMAGES),
    ("rotate", {"image_shape": np.array([3, 5, 2]), "max_degrees": 180}),
    (lambda X, y, generator: (X + torch.rand(X.shape, generator=generator), y), {}),
]
SHAPES = [(8,), (3, 8)]  # a batch, and a stack's
DTYPES = [torch.float32, torch.float64]


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _batch(shape=(8,), dtype=torch.float64, *, weighted=True):
    """Draw inputs, one-hot targets of three classes, weights."""
    generator = _generator(1)
    X = torch.rand(*shape, N_FEATURES, dtype=dtype, generator=generator)
    classes = torch.randint(3, shape, generator=generator)
    weight = torch.rand(shape, dtype=dtype, generator=generator) if weighted else None
    return X, F.one_hot(classes, 3).to(dtype), weight


def _equal(batch, other):
    return all(torch.equal(a, b) for a, b in zip(batch, other, strict=True))


def _assert_moments(values, mean, variance, kurtosis=3.0):
    """Compare mean and variance with those of the law, to 4 standard errors."""
    values = values.double().flatten().numpy()
    n = len(values)
    assert abs(values.mean() - mean) < 4 * math.sqrt(variance / n)
    error = variance * math.sqrt((kurtosis - 1) / n)
    assert abs(((values - mean) ** 2).mean() - variance) < 4 * error


# ---- what every augmentation keeps -----------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "params"), CASES)
class TestEvery:
    def test_new_batch_of_the_same_kind(self, name, params, shape, dtype):
        batch = _batch(shape, dtype)
        new = get_augmentation(name, N_FEATURES, params)(*batch, _generator())
        for part, new_part in zip(batch, new, strict=True):
            assert new_part.shape == part.shape
            assert new_part.dtype == part.dtype
            assert new_part.isfinite().all()
        assert not torch.equal(batch[0], new[0])

    def test_inputs_are_not_modified(self, name, params, shape, dtype):
        batch = _batch(shape, dtype)
        get_augmentation(name, N_FEATURES, params)(*batch, _generator())
        assert _equal(batch, _batch(shape, dtype))

    def test_draws_come_from_the_generator_only(self, name, params, shape, dtype):
        augment = get_augmentation(name, N_FEATURES, params)
        batch, state = _batch(shape, dtype), torch.get_rng_state()
        generator = _generator()
        first, second = augment(*batch, generator), augment(*batch, generator)
        assert not torch.equal(first[0], second[0])
        assert _equal(first, augment(*batch, _generator()))
        assert torch.equal(torch.get_rng_state(), state)

    def test_memory_layout_does_not_matter(self, name, params, shape, dtype):
        augment = get_augmentation(name, N_FEATURES, params)
        X, *others = _batch(shape, dtype)
        strided = X.mT.contiguous().mT
        torch.testing.assert_close(
            augment(strided, *others, _generator()), augment(X, *others, _generator())
        )

    def test_members_get_draws_of_their_own(self, name, params, shape, dtype):
        X, y, weight = (part.expand(3, *part.shape) for part in _batch((8,), dtype))
        augment = get_augmentation(name, N_FEATURES, params)
        X, _, _ = augment(X, y, weight, _generator())
        assert all(not torch.equal(X[i], X[i - 1]) for i in range(3))

    def test_targets_and_weights_may_be_absent(self, name, params, shape, dtype):
        X, y, _ = _batch(shape, dtype)
        augment = get_augmentation(name, N_FEATURES, params)
        assert augment(X, None, None, _generator())[1:] == (None, None)
        assert augment(X, y, None, _generator())[2] is None


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_constraints_are_those_of_the_signature(name):
    row = AUGMENTATIONS[name]
    parameters = [
        parameter
        for parameter in inspect.signature(row.augment).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    assert [parameter.name for parameter in parameters] == list(row.constraints)
    required = {p.name for p in parameters if p.default is inspect.Parameter.empty}
    assert required == ({"image_shape"} if row.needs_images else set())
    assert row.summary
    assert row.source


# ---- noise -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [0, 0.1, 3.0])
def test_noise_is_normal(scale, dtype):
    X = torch.linspace(-2, 2, 100_000, dtype=dtype).view(100, 1000)
    noisy, _, _ = get_augmentation("noise", 1000, {"scale": scale})(
        X, None, None, _generator()
    )
    if scale == 0:
        assert torch.equal(noisy, X)
    else:
        _assert_moments(noisy.double() - X.double(), 0, scale**2)


# ---- mixup -----------------------------------------------------------------------


def _mix_many(alpha, dtype=torch.float64, *, n_members=20_000, n=8):
    """Mix identity matrices: the rows show the partners, the diagonals lam."""
    X = torch.eye(n, dtype=dtype).expand(n_members, n, n)
    augment = get_augmentation("mixup", n, {"alpha": alpha})
    return augment(X, X, None, _generator())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("alpha", [0.01, 0.2, 0.5, 1, 5.0, 200])
def test_mixup_draws_from_beta(alpha, dtype):
    X, _, _ = _mix_many(alpha, dtype)
    lam = X.diagonal(dim1=-2, dim2=-1).amin(-1)  # 1 where a row is its own partner
    mean, variance, _, excess = stats.beta(alpha, alpha).stats("mvsk")
    _assert_moments(lam, mean, variance, excess + 3)


@pytest.mark.parametrize("alpha", [0.2, 1, 5])
def test_mixup_draws_have_the_distribution_function_of_beta(alpha):
    X, _, _ = _mix_many(alpha)
    lam = X.diagonal(dim1=-2, dim2=-1).amin(-1).numpy()
    assert stats.kstest(lam, stats.beta(alpha, alpha).cdf).pvalue > 1e-4


def test_mixup_partners_are_a_uniform_permutation():
    n_members, n = 20_000, 4
    X, _, _ = _mix_many(1.0, n_members=n_members, n=n)
    lam = X.diagonal(dim1=-2, dim2=-1).amin(-1)[:, None, None]
    eye = torch.eye(n, dtype=X.dtype)
    partner = ((X - lam * eye) / (1 - lam))[lam.flatten() < 0.9]
    torch.testing.assert_close(partner.sum(-2), torch.ones_like(partner[:, 0]))
    share = partner.mean(0)
    # members in which no row has another partner show lam = 1 and are left out:
    # uniform over the other 23 permutations, 18 of which move a given row
    expected = torch.where(eye.bool(), 5 / 23, 6 / 23).to(share)
    error = (expected * (1 - expected) / len(partner)).sqrt()
    assert ((share - expected).abs() < 4 * error).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_mixup_mixes_inputs_and_targets_alike(shape):
    n = shape[-1]
    eye = torch.eye(n, dtype=torch.float64).expand(*shape, n)
    X = torch.rand(*shape, 5, generator=_generator(), dtype=torch.float64)
    augment = get_augmentation("mixup", 5, {"alpha": 1.0})
    new_X, new_y, weight = augment(X, eye, None, _generator())
    assert weight is None
    torch.testing.assert_close(new_X, new_y @ X)
    lam = new_y.diagonal(dim1=-2, dim2=-1).amin(-1)
    for member_lam, row in zip(lam.reshape(-1), new_y.view(-1, n, n), strict=True):
        parts = row[row.diagonal() < 1].sort(dim=-1).values[:, -2:]
        expected = torch.stack([member_lam, 1 - member_lam]).sort().values
        assert len(parts) > 1  # one lam for all rows of the batch
        torch.testing.assert_close(parts, expected.expand_as(parts))


WEIGHTS = [
    torch.tensor([1.0, 2.0, 0.5, 3.0]),
    torch.tensor([1.0, 0.0, 0.0, 2.0]),
    torch.zeros(4),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weight", WEIGHTS)
def test_mixup_mixes_weighted_losses(weight, dtype):
    weight = weight.to(dtype).expand(50, 4)
    eye = torch.eye(4, dtype=dtype).expand(50, 4, 4)  # all targets and inputs apart
    augment = get_augmentation("mixup", 4, {"alpha": 1.0})
    X, y, mixed = augment(eye, eye, weight, _generator())
    # the inputs show the parts of i and of j, with which the weighted targets are mixed
    torch.testing.assert_close(mixed, (X @ weight[..., None]).squeeze(-1))
    torch.testing.assert_close(mixed[..., None] * y, X * weight[..., None, :])
    torch.testing.assert_close(y.sum(-1), torch.ones_like(mixed))
    weighs_nothing = mixed == 0
    torch.testing.assert_close(y[weighs_nothing], X[weighs_nothing])


@pytest.mark.parametrize("weight", [torch.ones(4), torch.full((4,), 3.0)])
def test_mixup_equal_weights_change_nothing(weight):
    eye = torch.eye(4).expand(50, 4, 4)
    augment = get_augmentation("mixup", 4)
    new = augment(eye, eye, weight.expand(50, 4), _generator())
    without = augment(eye, eye, None, _generator())
    torch.testing.assert_close(new[:2], without[:2])
    torch.testing.assert_close(new[2], weight.expand(50, 4))


# ---- images ----------------------------------------------------------------------

IMAGE_SHAPES = [(8, 8), (7, 12), (9, 4, 3), (1, 6), (6, 5, 1)]


def _image(shape):
    return np.random.default_rng(0).uniform(size=shape)


def _move(image, offset):
    offset = (*offset, 0)[: image.ndim]
    return ndimage.shift(image, offset, order=1, mode="grid-constant")


def _rotate(image, angle):
    return ndimage.rotate(
        image, angle, axes=(1, 0), reshape=False, order=1, mode="grid-constant"
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", IMAGE_SHAPES)
@pytest.mark.parametrize(
    ("ours", "theirs", "draws"),
    [
        (shift_images, _move, [(0, 0), (2, 0), (0, -1), (-3, 2), (0.25, -1.6)]),
        (rotate_images, _rotate, [0.0, 10.0, -33.3, 90.0, 180.0]),
    ],
)
def test_images_move_as_in_scipy(ours, theirs, draws, shape, dtype):
    image = _image(shape)
    X = torch.tensor(image, dtype=dtype).view(1, -1).expand(len(draws), -1)
    moved = ours(X, torch.tensor(draws, dtype=dtype), shape)
    expected = np.stack([theirs(image, draw).ravel() for draw in draws])
    np.testing.assert_allclose(moved.numpy(), expected, atol=1e-5)


def test_integer_shift_moves_pixels():
    image = _image((5, 6))
    moved = shift_images(
        torch.tensor(image.reshape(1, -1)), torch.tensor([[2.0, -1.0]]).double(), (5, 6)
    )
    expected = np.zeros_like(image)
    expected[2:, :-1] = image[:-2, 1:]
    np.testing.assert_allclose(moved.view(5, 6).numpy(), expected, atol=1e-12)


def _sources(name, pixel, **params):
    """Draw many times: where in the image, from its centre, a pixel came from."""
    # two channels that hold the row and the column, as bilinear interpolation keeps
    image = torch.tensor(np.moveaxis(np.mgrid[-5:6, -5:6], 0, -1).astype(float))
    X = image.reshape(1, -1).expand(20_000, -1)
    augment = get_augmentation(name, 242, {"image_shape": (11, 11, 2), **params})
    X, _, _ = augment(X, None, None, _generator())
    row, column = pixel
    return X.view(-1, 11, 11, 2)[:, 5 + row, 5 + column].unbind(-1)


@pytest.mark.parametrize("max_shift", [0.5, 3])
def test_shifts_are_uniform(max_shift):
    shifts = torch.stack(_sources("shift", (0, 0), max_shift=max_shift))
    assert shifts.abs().max() <= max_shift
    for shift in shifts:
        _assert_moments(shift, 0, max_shift**2 / 3, 1.8)
    assert abs(torch.corrcoef(shifts)[0, 1]) < 4 / math.sqrt(shifts.shape[1])


@pytest.mark.parametrize("max_degrees", [10.0, 180])
def test_angles_are_uniform(max_degrees):
    angles = torch.atan2(*_sources("rotate", (0, 3), max_degrees=max_degrees))
    degrees = angles.rad2deg()
    assert degrees.abs().max() <= max_degrees * (1 + 1e-9)
    _assert_moments(degrees, 0, max_degrees**2 / 3, 1.8)


def test_zero_shift_is_the_identity():
    X, *_ = _batch()
    augment = get_augmentation("shift", N_FEATURES, {**IMAGES, "max_shift": 0})
    torch.testing.assert_close(augment(X, None, None, _generator())[0], X)


# ---- the user's own --------------------------------------------------------------


def _flip(X, y, generator):
    return X.flip(-1), y


def _write_in_place(X, y, generator):
    X.zero_()
    y.zero_()
    return X, y


def _soften(X, y, generator):
    return X, F.one_hot(y, 3) * 0.9


def test_callable_augments():
    X, y, weight = _batch()
    augment = get_augmentation(_flip, N_FEATURES)
    assert not augment.mixes_targets
    assert _equal(augment(X, y, weight, _generator()), (X.flip(-1), y, weight))


def test_callable_gets_copies():
    batch = _batch()
    X, y, _ = get_augmentation(_write_in_place, N_FEATURES)(*batch, _generator())
    assert X.count_nonzero() == y.count_nonzero() == 0
    assert _equal(batch, _batch())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_callable_may_give_probabilities(shape, dtype):
    X, y, _ = _batch(shape, dtype)
    augment = get_augmentation(_soften, N_FEATURES)
    _, soft, _ = augment(X, y.argmax(-1), None, _generator())
    torch.testing.assert_close(soft, 0.9 * y)


def test_what_a_callable_gives_takes_the_dtype_of_the_batch():
    batch = _batch(dtype=torch.float32)
    X, y, _ = get_augmentation(
        lambda X, y, generator: (X.double().requires_grad_(), y.int()), N_FEATURES
    )(*batch, _generator())
    assert X.dtype == y.dtype == torch.float32
    assert not X.requires_grad
    assert torch.equal(y, batch[1])


RETURNS = [
    (lambda X, y: X, r"must return a tuple \(X, y\), got tensor"),
    (lambda X, y: (X, y, None), r"must return a tuple \(X, y\)"),
    (lambda X, y: (X.numpy(), y), "X as a tensor, got .*ndarray"),
    (lambda X, y: (X, None), "y as a tensor, got .*NoneType"),
    (lambda X, y: (X[1:], y), r"X of shape \(8, 30\), got shape \(7, 30\)"),
    (lambda X, y: (X[:, 1:], y), r"X of shape \(8, 30\), got shape \(8, 29\)"),
    (lambda X, y: (X, y[1:]), r"y of shape \(8,\), got shape \(7,\)"),
    (
        lambda X, y: (X, F.one_hot(y, 3)[1:]),
        r"y of shape \(8, 3\), got shape \(7, 3\)",
    ),
    (lambda X, y: (X, y.double()), "class indices of an integer .* torch.float64"),
]


@pytest.mark.parametrize(("returns", "message"), RETURNS, ids=[m for _, m in RETURNS])
def test_callable_must_keep_the_batch(returns, message):
    X, y, _ = _batch()
    augment = get_augmentation(lambda X, y, generator: returns(X, y), N_FEATURES)
    with pytest.raises(ValueError, match=message):
        augment(X, y.argmax(-1), None, _generator())


def test_callable_must_keep_the_outputs():
    augment = get_augmentation(lambda X, y, generator: (X, y[:, :2]), N_FEATURES)
    with pytest.raises(ValueError, match=r"y of shape \(8, 3\), got shape \(8, 2\)"):
        augment(*_batch(), _generator())


# ---- errors ----------------------------------------------------------------------

ERRORS = [
    # augmentation, parameters, message
    ("noise", {"foo": 1}, "for 'noise' may hold ['scale'], got ['foo']."),
    ("noise", {"n_features": 1}, "may hold ['scale'], got ['n_features']."),
    ("noise", {"augmentation": 1}, "may hold ['scale'], got ['augmentation']."),
    ("noise", {"image_shape": (5, 6)}, "may hold ['scale']"),
    (_flip, {"scale": 1}, "may hold [], got ['scale']."),
    ("noise", {"scale": -0.1}, "'scale' parameter"),
    ("noise", {"scale": math.inf}, "'scale' parameter"),
    ("noise", {"scale": "much"}, "'scale' parameter"),
    ("mixup", {"alpha": 0}, "'alpha' parameter"),
    ("mixup", {"alpha": math.nan}, "'alpha' parameter"),
    ("shift", {**IMAGES, "max_shift": -1}, "'max_shift' parameter"),
    ("rotate", {**IMAGES, "max_degrees": 0}, "'max_degrees' parameter"),
    ("rotate", {**IMAGES, "max_degrees": 181}, "'max_degrees' parameter"),
    (
        "shift",
        {},
        "augmentation='shift' needs augmentation_params={'image_shape': (height, "
        "width)}",
    ),
    ("rotate", {"max_degrees": 5}, "augmentation='rotate' needs"),
    ("shift", {"image_shape": 30}, "'image_shape' parameter"),
    ("shift", {"image_shape": "30"}, "'image_shape' parameter"),
    ("shift", {"image_shape": (30,)}, "positive integers, got (30,)."),
    ("shift", {"image_shape": (1, 1, 5, 6)}, "(height, width) or (height, width, ch"),
    ("shift", {"image_shape": (5.0, 6)}, "positive integers, got"),
    ("shift", {"image_shape": (-5, -6)}, "positive integers, got"),
    ("shift", {"image_shape": (5, 5)}, "got 25 values for (5, 5) and 30 features."),
    (
        "shift",
        {"image_shape": (5, 6, 3)},
        "got 90 values for (5, 6, 3) and 30 features.",
    ),
]


@pytest.mark.parametrize(("name", "params", "message"), ERRORS)
def test_illegal_parameters(name, params, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011, the message is checked
        get_augmentation(name, N_FEATURES, params)
    assert message in str(error.value)


# ---- in a fit ------------------------------------------------------------------------


def _nothing(X, y, generator):
    return X, y


def test_targets_may_come_in_either_form(digits):
    forms = itertools.cycle([False, True])

    def either(X, y, generator):
        return X, F.one_hot(y, 10) if next(forms) else y

    params = {"max_iter": 3, "random_state": 0}
    model = MLPClassifier(augmentation=either, **params).fit(*digits)
    plain = MLPClassifier(augmentation=_nothing, **params).fit(*digits)
    np.testing.assert_allclose(model.loss_curve_, plain.loss_curve_, rtol=1e-6)


def test_a_function_may_use_its_memory_again(digits):
    memory = torch.empty(50, dtype=torch.int64)

    def reusing(X, y, generator):
        return X, memory[: len(y)].copy_(y)

    params = {"max_iter": 2, "batch_size": 50, "random_state": 0}
    model = MLPClassifier(augmentation=reusing, **params).fit(*digits)
    plain = MLPClassifier(augmentation=_nothing, **params).fit(*digits)
    np.testing.assert_allclose(model.loss_curve_, plain.loss_curve_, rtol=1e-6)
