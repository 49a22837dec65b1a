"""Write the golden files of the present format, once, when a format is new.

python tests/golden/make.py
"""

import json
from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_deep import MLPClassifier, MLPRegressor, save

FOLDER = Path(__file__).parent
SMALL = {"hidden_layer_sizes": (5,), "max_iter": 30, "random_state": 0}
X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]


def models():
    """Fit what each file has, by its name without the format."""
    small = MLPClassifier(**SMALL, learning_rate_init=0.1)
    return {
        "classifier": small.fit(X, NAMES),
        "regressor": MLPRegressor(**SMALL, normalization="batch").fit(X, Y + 1.0),
        "ensemble": MLPClassifier(**SMALL, n_members=3, warm_start=True).fit(X, Y),
        "pipeline": make_pipeline(StandardScaler(), MLPClassifier(**SMALL)).fit(X, Y),
    }


def main():
    """Write files that are not there yet, and what they predict."""
    path = FOLDER / "expected.json"
    expected = json.loads(path.read_text()) if path.exists() else {}
    for kind, model in models().items():
        name = f"{kind}_format_1.sk_deep"
        if name in expected:
            continue
        save(model, FOLDER / name)
        outputs = getattr(model, "predict_proba", model.predict)(X[::30])
        predictions = model.predict(X[::30]).tolist()
        expected[name] = {"outputs": outputs.tolist(), "predictions": predictions}
    path.write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
