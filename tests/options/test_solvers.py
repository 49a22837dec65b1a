"""Each solver against torch's own class or the pseudo-code of its paper."""

import copy
import inspect
import itertools
import math

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch.nn import functional as F

from sk_deep import MLPClassifier
from sk_deep.solvers import SGD, SOLVERS, VSGD, Adam, AdaSecant, get_solver

# ---- the table -------------------------------------------------------------------


@pytest.mark.parametrize("name", SOLVERS)
def test_rows_are_described(name):
    row = SOLVERS[name]
    assert row.summary
    assert any(str(year) in row.source for year in range(1980, 2030))


@pytest.mark.parametrize("name", [n for n, row in SOLVERS.items() if row.optimizer])
def test_arguments_are_the_optimizers(name):
    model, row = MLPClassifier(), SOLVERS[name]
    names = row.legal_params(model) | set(row.arguments(model))
    assert names < set(inspect.signature(row.optimizer).parameters)


def test_a_class_is_a_row():
    row = get_solver(torch.optim.LBFGS)
    assert row.optimizer is torch.optim.LBFGS
    assert (row.learning_rate, row.elementwise, row.needs_closure) == (1.0, False, True)
    assert get_solver("vsgd") is SOLVERS["vsgd"]


# ---- the estimator against a loop of torch's -------------------------------------

RATE, ALPHA, N_ROWS, N_STEPS = 0.05, 0.5, 12, 10
ADAM = {"betas": (0.8, 0.95), "eps": 1e-3}
OURS = {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}  # of the estimator
OPTIMIZERS = [
    ("sgd", {}, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    ("sgd", {"nesterovs_momentum": False}, torch.optim.SGD, {"momentum": 0.9}),
    ("sgd", {"momentum": 0.0}, torch.optim.SGD, {}),
    ("adam", OURS, torch.optim.Adam, ADAM),
    ("adam", {**OURS, "solver_params": {"amsgrad": True}}, torch.optim.Adam, ADAM),
    ("adamw", OURS, torch.optim.AdamW, {**ADAM, "weight_decay": ALPHA}),
    ("nadam", OURS, torch.optim.NAdam, ADAM),
    ("radam", OURS, torch.optim.RAdam, ADAM),
    ("adamax", OURS, torch.optim.Adamax, ADAM),
    ("adagrad", {}, torch.optim.Adagrad, {}),
    ("rmsprop", {"solver_params": {"alpha": 0.9}}, torch.optim.RMSprop, {"alpha": 0.9}),
    ("adadelta", {}, torch.optim.Adadelta, {}),
]


def _estimator(solver, params, **further):
    return MLPClassifier(
        (5,),
        "tanh",
        solver=solver,
        alpha=ALPHA,
        batch_size=N_ROWS,
        shuffle=False,
        random_state=0,
        dtype="float64",
        **{"learning_rate_init": RATE, **params, **further},
    )


def _batches(digits):
    X, y = digits
    starts = range(0, N_STEPS * N_ROWS, N_ROWS)
    return [(X[i : i + N_ROWS], y[i : i + N_ROWS]) for i in starts]


def _loss(weights, biases, X, y, penalty):
    hidden = torch.tanh(torch.tensor(X) @ weights[0] + biases[0])
    loss = F.cross_entropy(hidden @ weights[1] + biases[1], torch.tensor(y))
    return loss + penalty / 2 * sum((w**2).sum() for w in weights) / len(X)


def _steps_of_torch(start, batches, optimizer, params, *, has_early_eps):
    """Yield the parameters after each step of a plain loop."""
    weights, biases = ([torch.tensor(p, requires_grad=True) for p in s] for s in start)
    decay = params.get("weight_decay", 0.0)
    groups = [{"params": weights, **params}]
    groups.append({"params": biases, **params, "weight_decay": 0.0})
    stepper = optimizer(groups, lr=RATE)
    for t, (X, y) in enumerate(batches, 1):
        if has_early_eps:  # before the bias correction, the paper's section 2
            for group in stepper.param_groups:
                group["eps"] = params["eps"] / math.sqrt(1 - params["betas"][1] ** t)
        stepper.zero_grad()
        _loss(weights, biases, X, y, 0.0 if decay else ALPHA).backward()
        stepper.step()
        yield [p.detach().numpy().copy() for p in (*weights, *biases)]


@pytest.mark.parametrize(("solver", "ours", "optimizer", "theirs"), OPTIMIZERS)
def test_estimator_steps_as_torch(solver, ours, optimizer, theirs, digits):
    batches = _batches(digits)
    X, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    still = _estimator(solver, ours, learning_rate_init=1e-300, max_iter=1).fit(X, y)
    start = still.coefs_, still.intercepts_
    extra = ours.get("solver_params", {}) | theirs
    expected = _steps_of_torch(
        start, batches, optimizer, extra, has_early_eps=solver == "adam"
    )
    for n_steps, parameters in enumerate(expected, 1):
        rows = slice(n_steps * N_ROWS)
        model = _estimator(solver, ours, max_iter=1).fit(X[rows], y[rows])
        found = [*model.coefs_, *model.intercepts_]
        for a, b in zip(found, parameters, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert n_steps == N_STEPS
    assert not np.allclose(parameters[0], start[0][0], atol=1e-4)


def test_all_rows_of_torch_are_compared():
    ours = {"lbfgs", "vsgd", "adasecant"}
    assert {solver for solver, *_ in OPTIMIZERS} == set(SOLVERS) - ours


# ---- the pseudo-code of the papers -----------------------------------------------

SHAPES = (3, 2), (4,)
N_DEAD = 1  # parameters of the last tensor whose gradient is always zero


def _problem(seed=0, n_steps=50):
    """Give a start and, for each step, a noisy gradient as a function of the point."""
    rng = np.random.RandomState(seed)
    start = [rng.normal(size=shape) for shape in SHAPES]
    scale = [10.0 ** rng.uniform(-2, 2, size=shape) for shape in SHAPES]
    scale[-1].flat[:N_DEAD] = 0
    noise = rng.standard_t(3, size=(n_steps, len(SHAPES), 2, 6))

    def gradient(t, k, theta):
        shift, stretch = noise[t, k, :, : theta.size].reshape(2, *theta.shape)
        slope = theta + 0.5 * theta**3 / (1 + theta**2)
        return scale[k] * ((1 + 0.2 * np.tanh(stretch)) * slope + shift)

    return start, gradient


class _Run:
    """An optimizer on the problem, step by step."""

    def __init__(self, optimizer, start, gradient, **params):
        self.leaves = [torch.tensor(theta) for theta in start]
        self.optimizer, self.gradient, self.t = (
            optimizer(self.leaves, **params),
            gradient,
            0,
        )

    def closure(self):
        for k, leaf in enumerate(self.leaves):
            leaf.grad = torch.tensor(self.gradient(self.t, k, leaf.numpy()))
        return float(self.t)

    def step(self):
        loss = self.optimizer.step(self.closure)
        self.t += 1
        return loss, [leaf.numpy().copy() for leaf in self.leaves]


def vsgd_by_the_paper(start, gradient, n_steps, n_start, factor, eps):
    """Algorithm 1 of Schaul and LeCun 2013, parameter by parameter."""
    theta = np.concatenate([s.ravel() for s in start])
    bounds = np.cumsum([0, *(s.size for s in start)])

    def gradients(t, theta):
        parts = [theta[a:b] for a, b in itertools.pairwise(bounds)]
        parts = [p.reshape(s.shape) for p, s in zip(parts, start, strict=True)]
        return np.concatenate([gradient(t, k, p).ravel() for k, p in enumerate(parts)])

    d = len(theta)
    g_bar, v_bar, h_bar, v_fd, tau = np.zeros((5, d))
    for t in range(n_steps):
        nabla = gradients(t, theta)
        delta = np.empty(d)
        for i in range(d):
            delta[i] = g_bar[i] if t else nabla[i]
            if abs(delta[i]) < eps:
                delta[i] = math.copysign(eps, delta[i])
        nabla_shifted = gradients(t, theta + delta)
        for i in range(d):
            h = abs((nabla[i] - nabla_shifted[i]) / delta[i])
            if t < n_start:  # arithmetic averages
                g_bar[i] = (t * g_bar[i] + nabla[i]) / (t + 1)
                v_bar[i] = (t * v_bar[i] + nabla[i] ** 2) / (t + 1)
                h_bar[i] = (t * h_bar[i] + h) / (t + 1)
                v_fd[i] = (t * v_fd[i] + h**2) / (t + 1)
                tau[i] = n_start
                continue
            if t == n_start:
                v_bar[i] *= factor
                h_bar[i] *= factor
                v_fd[i] *= factor**2
            g_deviation = math.sqrt(max(v_bar[i] - g_bar[i] ** 2, 0))
            h_deviation = math.sqrt(max(v_fd[i] - h_bar[i] ** 2, 0))
            if (
                abs(nabla[i] - g_bar[i]) > 2 * g_deviation
                or abs(h - h_bar[i]) > 2 * h_deviation
            ):
                tau[i] += 1
            g_bar[i] = (1 - 1 / tau[i]) * g_bar[i] + nabla[i] / tau[i]
            v_bar[i] = (1 - 1 / tau[i]) * v_bar[i] + nabla[i] ** 2 / tau[i]
            h_bar[i] = (1 - 1 / tau[i]) * h_bar[i] + h / tau[i]
            v_fd[i] = (1 - 1 / tau[i]) * v_fd[i] + h**2 / tau[i]
            if v_bar[i] > 0:
                rate = (h_bar[i] + eps) / (v_fd[i] + eps) * g_bar[i] ** 2 / v_bar[i]
                tau[i] = (1 - g_bar[i] ** 2 / v_bar[i]) * tau[i] + 1
                theta[i] -= rate * nabla[i]
            else:
                tau[i] += 1
        yield theta.copy()


def adasecant_by_the_paper(start, gradient, n_steps, max_gamma, first_step, eps):
    """Algorithm 1 of Gulcehre et al. 2014 with section 6, element by element."""
    theta = [s.copy() for s in start]
    state = [[None] * s.size for s in start]
    for t in range(n_steps):
        for k, block in enumerate(theta):
            nabla = gradient(t, k, block).ravel()
            norm = math.sqrt(sum(x * x for x in nabla))
            for i, raw in enumerate(nabla):
                g = raw / norm
                if t == 0:
                    s = state[k][i] = {
                        "g": g,
                        "g2": g * g,
                        "a": g,
                        "a2": g * g,
                        "ad": 0.0,
                        "d": -first_step * g,
                        "d2": (first_step * g) ** 2,
                        "top": 0.0,
                        "bottom": 0.0,
                        "norm": 0.0,
                        "tau": 2.2,
                    }
                else:
                    s = state[k][i]
                    a, d, old, mean = g - s["last g"], s["last d"], s["last g"], s["g"]
                    g_deviation = math.sqrt(max(s["g2"] - mean**2, 0))
                    a_deviation = math.sqrt(max(s["a2"] - s["a"] ** 2, 0))
                    if abs(g - mean) > 2 * g_deviation or (
                        abs(a - s["a"]) > 2 * a_deviation
                    ):
                        s["tau"] = 2.2
                    new = {"g": g, "g2": g * g, "a": a, "a2": a * a, "ad": a * d}
                    new |= {"d": d, "d2": d * d}
                    new["top"] = ((old - g) * (old - mean)) ** 2
                    new["bottom"] = ((old - mean) * (g - mean)) ** 2
                    for name, x in new.items():
                        s[name] = (1 - 1 / s["tau"]) * s[name] + x / s["tau"]
                    share = s["d"] ** 2 / s["d2"] if s["d2"] > 0 else 0.0
                    s["tau"] = min(max((1 - share) * s["tau"] + 1, 1.5), 1e8)
                gamma = math.sqrt(s["top"] / s["bottom"]) if s["bottom"] > 0 else 0.0
                gamma = min(gamma, max_gamma)
                corrected = (g + gamma * s["g"]) / (1 + gamma)
                eta = math.sqrt(s["d2"] + eps) / math.sqrt(s["a2"] + eps)
                eta = max(eta - s["ad"] / (s["a2"] + eps), 0.0)
                s["norm"] = math.sqrt(s["norm"] ** 2 + corrected**2)
                s["last g"] = g
                s["last d"] = -eta * corrected / max(1.0, s["norm"])
            block.flat = [
                x + s["last d"] for x, s in zip(block.flat, state[k], strict=True)
            ]
        yield np.concatenate([block.ravel() for block in theta])


PAPERS = [
    (VSGD, vsgd_by_the_paper, {"n_start": 10, "slow_start": 2.0, "eps": 1e-8}),
    (VSGD, vsgd_by_the_paper, {"n_start": 1, "slow_start": 1.0, "eps": 1e-3}),
    (
        AdaSecant,
        adasecant_by_the_paper,
        {"max_gamma": 1.8, "first_step": 0.1, "eps": 1e-6},
    ),
    (
        AdaSecant,
        adasecant_by_the_paper,
        {"max_gamma": 0.5, "first_step": 1.0, "eps": 1e-9},
    ),
]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("optimizer", "paper", "params"), PAPERS)
def test_steps_are_the_papers(optimizer, paper, params, seed):
    start, gradient = _problem(seed)
    run = _Run(optimizer, start, gradient, **params)
    for t, expected in enumerate(paper(start, gradient, 50, *params.values())):
        loss, found = run.step()
        found = np.concatenate([theta.ravel() for theta in found])
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)
        assert loss == t  # that of the first call of the closure
    first = np.concatenate([theta.ravel() for theta in start])
    has_moved = found != first
    n_alive = len(first) - np.size(start[-1])
    assert has_moved[:n_alive].all()
    assert not has_moved[n_alive : n_alive + N_DEAD].any()


# ---- what all four of ours have in common ----------------------------------------

FORMS = [SGD, Adam, VSGD, AdaSecant]


@pytest.mark.parametrize("optimizer", FORMS)
def test_state_goes_on(optimizer):
    start, gradient = _problem()
    whole = _Run(optimizer, start, gradient)
    for _ in range(20):
        _, theta = whole.step()
    half = _Run(optimizer, theta, gradient)
    half.optimizer.load_state_dict(copy.deepcopy(whole.optimizer.state_dict()))
    half.t = 20
    for _ in range(20):
        for a, b in zip(whole.step()[1], half.step()[1], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("optimizer", FORMS)
def test_zero_gradients_move_nothing(optimizer, dtype):
    leaf = torch.ones(2, 3, dtype=dtype)
    leaf.grad = torch.zeros_like(leaf)
    stepper = optimizer([leaf])
    for _ in range(15):
        stepper.step(lambda: 0.0)
    assert (leaf == 1).all()
    # and wake up
    for _ in range(15):
        stepper.step(lambda: leaf.grad.copy_(leaf).sum())
    assert torch.isfinite(leaf).all()
    assert (leaf < 1).all()


@pytest.mark.parametrize("optimizer", FORMS)
def test_rate_is_a_factor(optimizer):
    n_still = 10 if optimizer is VSGD else 0
    updates = {}
    for lr in (0.5, 1.0):
        run = _Run(optimizer, *_problem(), lr=lr)
        steps = [run.step()[1][0] for _ in range(n_still + 1)]
        updates[lr] = steps[-1] - _problem()[0][0]
        assert all((theta == _problem()[0][0]).all() for theta in steps[:-1])
    np.testing.assert_allclose(updates[1.0], 2 * updates[0.5])


@pytest.mark.parametrize("optimizer", FORMS)
def test_members_do_not_mix(optimizer):
    """A row of a stack, or a group of an optimizer that sees tensors, is on its own."""
    runs = [_Run(optimizer, *_problem(seed)) for seed in (0, 1)]
    both = [torch.stack(pair) for pair in zip(*(r.leaves for r in runs), strict=True)]
    leaves = (
        both if optimizer is not AdaSecant else [b[i] for i in (0, 1) for b in both]
    )
    stepper = optimizer(leaves)

    def closure():
        for run, *parts in zip(runs, *both, strict=True):
            run.gradients = [
                torch.tensor(run.gradient(run.t, k, part.numpy()))
                for k, part in enumerate(parts)
            ]
        grads = [torch.stack(p) for p in zip(*(r.gradients for r in runs), strict=True)]
        if optimizer is AdaSecant:
            grads = [g[i] for i in (0, 1) for g in grads]
        for leaf, grad in zip(leaves, grads, strict=True):
            leaf.grad = grad

    for _ in range(20):
        stepper.step(closure)
        for i, run in enumerate(runs):
            for found, expected in zip(both, run.step()[1], strict=True):
                np.testing.assert_allclose(found[i], expected, rtol=1e-10)


def test_vsgd_leaves_all_but_the_update():
    start, gradient = _problem()
    run = _Run(VSGD, start, gradient)
    run.step()
    for k, (leaf, theta) in enumerate(zip(run.leaves, start, strict=True)):
        np.testing.assert_array_equal(leaf, theta)  # the first steps only average
        np.testing.assert_array_equal(leaf.grad, gradient(0, k, theta))
    n_calls = 0

    def closure():
        nonlocal n_calls
        n_calls += 1
        run.closure()
        if n_calls == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.optimizer.step(closure)
    for leaf, theta in zip(run.leaves, start, strict=True):
        np.testing.assert_array_equal(leaf, theta)


def test_what_vsgd_asks_for():
    with pytest.raises(ValueError, match="VSGD needs a closure"):
        VSGD([torch.ones(1)]).step()
    with pytest.raises(ValueError, match="n_start must be at least 1, got 0"):
        VSGD([torch.ones(1)], n_start=0)


# ---- what the papers claim -------------------------------------------------------


def _noisy_quadratic(optimizer, n_steps, jump=np.inf, **params):
    """Run on (theta - c)^2 / 2, c ~ N(0, 1), from 10; c goes up by 5 at the jump.

    Returns the mean loss above the least, and the median rate, of 200 runs by step.
    """
    draws = np.random.RandomState(0).normal(size=(n_steps, 200))
    draws[np.arange(n_steps) >= jump] += 5
    theta = torch.full((200,), 10.0, dtype=torch.float64)
    stepper = optimizer([theta], **params)
    losses, rates = [], []
    for c in torch.tensor(draws):
        before = theta.clone()

        def closure(c=c):
            theta.grad = theta - c

        stepper.step(closure)
        rates.append(float(((before - theta) / (before - c)).median()))
        losses.append(float((theta**2).mean() / 2))
    return np.array(losses), np.array(rates)


@pytest.mark.long
def test_vsgd_beats_the_best_fixed_rate():
    """Schaul et al. 2013, figure on the noisy quadratic: at any horizon."""
    horizons = [99, 299, 999]
    grid = 10.0 ** np.arange(-3, 0.5, 0.5)
    fixed = [_noisy_quadratic(torch.optim.SGD, 1000, lr=lr)[0] for lr in grid]
    best = np.min(fixed, axis=0)[horizons]
    assert (_noisy_quadratic(VSGD, 1000)[0][horizons] < 0.8 * best).all()


def test_vsgd_rates_fall_and_rise():
    """They fall about as 1 / t by themselves, and rise where the problem changes."""
    _, rates = _noisy_quadratic(VSGD, 1000, jump=900)
    smooth = [rates[t - 20 : t].mean() for t in (100, 300, 900, 940)]
    assert smooth[0] > 2 * smooth[1] > 4 * smooth[2]
    assert smooth[3] > 5 * smooth[2]


CURVATURES = 1e-3, 1.0, 1e3


def _badly_scaled(optimizer, n_steps, factor=1.0, **params):
    """Run on factor * sum of h theta^2 / 2 with noise, a tensor per h, from 1.

    Returns the greatest mean of theta^2 / 2.
    """
    noise = torch.tensor(np.random.RandomState(0).normal(size=(n_steps, 3, 5)))
    leaves = [torch.ones(5, dtype=torch.float64) for _ in CURVATURES]
    stepper = optimizer(leaves, **params)
    for draw in noise:
        for leaf, h, z in zip(leaves, CURVATURES, draw, strict=True):
            leaf.grad = factor * h * (leaf + 0.1 * z)
        stepper.step(lambda: None)
    return np.max([float((leaf**2).mean() / 2) for leaf in leaves])


def test_adasecant_needs_no_scaling():
    """Gulcehre et al. 2014: robust to the scale of inputs, thus of gradients."""
    assert _badly_scaled(AdaSecant, 200) < 0.01
    for lr in (1.0, 1e-2, 1e-3):  # diverges, or does not move the flat part
        assert not _badly_scaled(torch.optim.SGD, 200, lr=lr) < 0.4
    found = [_badly_scaled(AdaSecant, 30, factor) for factor in (1e-6, 1e6)]
    np.testing.assert_allclose(*found, rtol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("solver", ["vsgd", "adasecant"])
def test_no_rate_to_tune(solver, n_members, digits):
    """The default architecture, batch and schedule learn to the end of the data."""
    model = MLPClassifier(
        solver=solver,
        learning_rate_init="auto",
        max_iter=60,
        n_members=n_members,
        random_state=0,
    )
    assert model.fit(*digits).score(*digits) > 0.95


class StepKind(Callback):
    """Records whether steps are lean."""

    def on_epoch_begin(self, net, **kwargs):
        self.is_lean = net.training_.is_lean


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw"])
def test_states_may_be_updated_in_any_mode(solver, digits):
    """Lean steps run in inference mode, whose tensors could not be updated after it."""
    params = {"solver": solver, "max_iter": 2, "random_state": 0}
    net = MLPClassifier(**params, callbacks=[StepKind()]).fit(*digits).net_
    assert net.callbacks_[-1][1].is_lean
    (states,) = net.optimizer_.state.values()
    for value in states.values():
        value.add_(1)
    assert not net.module_.flat.is_inference()
