"""Prints the expected values of metrics_test.cpp and bootstrap_test.cpp, computed independently: ICC(3,1) by the analysis of
variance with numpy's least squares, the other figures by their definitions, intervals from all samples that a bootstrap can draw.

    python3 tests/train/metrics_expected.py
"""
import itertools

import numpy as np


def residual_sum_of_squares(design, y):
    fit, *_ = np.linalg.lstsq(design, y, rcond=None)
    return float(np.sum((y - design @ fit) ** 2))


def icc_3_1(ratings):
    n, k = ratings.shape
    y = ratings.ravel()
    targets = np.kron(np.eye(n), np.ones((k, 1)))
    raters = np.kron(np.ones((n, 1)), np.eye(k))
    full = residual_sum_of_squares(np.hstack([targets, raters]), y)
    without_targets = residual_sum_of_squares(raters, y)
    bms = (without_targets - full) / (n - 1)
    ems = full / ((n - 1) * (k - 1))
    return (bms - ems) / (bms + (k - 1) * ems)


def f1(predictions, labels, threshold):
    predicted, present = predictions >= threshold, labels >= threshold
    true_positives = np.sum(predicted & present)
    precision, recall = true_positives / np.sum(predicted), true_positives / np.sum(present)
    return 2 * precision * recall / (precision + recall)


# Shrout & Fleiss 1979, table 2: six targets, four judges; the paper prints ICC(3,1) = .71. The program has two raters only.
shrout_fleiss = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
assert abs(icc_3_1(shrout_fleiss) - 0.71) < 0.005
for a, b in itertools.combinations(range(4), 2):
    print(f"Shrout & Fleiss, judges {a} and {b}: {icc_3_1(shrout_fleiss[:, [a, b]]):.10f}")

# Twelve pictures, two AUs; -1: not coded. Predictions are clamped to 0-5 first.
labels = np.array([[0, 1], [0, -1], [1, 2], [2, 0], [3, 5], [5, 4], [4, -1], [0, 0], [2, 1], [1, 0], [3, 3], [0, 2]], float)
predictions = np.array([[-0.5, 1.25], [0.25, 9], [1.5, 1], [1.75, 0.5], [2.5, 6.5], [4.5, 3.25], [5.75, 0], [0.125, -1],
                        [2.25, 2], [0.5, 0.75], [3.5, 2.5], [0, 1.5]])
for k, name in enumerate(["AU06", "AU12"]):
    coded = labels[:, k] >= 0
    a, b = np.clip(predictions[coded, k], 0, 5), labels[coded, k]
    print(f"{name}: count {coded.sum()} icc {icc_3_1(np.stack([a, b], 1)):.10f} pearson {np.corrcoef(a, b)[0, 1]:.10f} "
          f"mse {np.mean((a - b) ** 2):.10f} mae {np.mean(np.abs(a - b)):.10f} f1 at 2 {f1(a, b, 2):.10f} at 1 {f1(a, b, 1):.10f}")

# The same pictures as four subjects of three: each of the 4^4 samples of subjects is equally likely.
subjects = np.arange(12).reshape(4, 3)
samples = {"icc": [], "mse": [], "mae": [], "pearson": [], "mean icc": []}
for drawn in itertools.product(range(4), repeat=4):
    rows = subjects[list(drawn)].ravel()
    iccs = []
    for k in range(2):
        coded = rows[labels[rows, k] >= 0]
        a, b = np.clip(predictions[coded, k], 0, 5), labels[coded, k]
        iccs.append(icc_3_1(np.stack([a, b], 1)))
    a, b = np.clip(predictions[rows, 0], 0, 5), labels[rows, 0]
    samples["icc"].append(iccs[0])
    samples["mean icc"].append(np.mean(iccs))
    samples["pearson"].append(np.corrcoef(a, b)[0, 1])
    samples["mse"].append(np.mean((a - b) ** 2))
    samples["mae"].append(np.mean(np.abs(a - b)))
for name, values in samples.items():
    low, high = np.percentile(values, [10, 90], method="inverted_cdf")
    print(f"AU06 by subject, 80 % interval of {name}: {low:.6f} to {high:.6f}")
