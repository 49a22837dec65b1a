"""scikit-learn's side of one fit."""
