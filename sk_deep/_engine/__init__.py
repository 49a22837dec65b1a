"""One training of one network or stack; it knows no estimator."""
