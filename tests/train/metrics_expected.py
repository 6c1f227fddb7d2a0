"""Values that metrics_test.cpp expects, from the definitions, with numpy alone.

ICC(3,1) from the two-way analysis of variance by fitting both factors with least squares (an explicit design matrix), which
shares nothing with the formula of means in train/metrics.cpp. Run: python3 tests/train/metrics_expected.py
"""
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


# Shrout & Fleiss 1979, table 2: six targets, four judges; the paper gives ICC(3,1) = .71.
shrout_fleiss = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
print(f"Shrout & Fleiss: {icc_3_1(shrout_fleiss):.10f}")

# Twelve pictures, two AUs; -1: not coded. Predictions are clamped to 0-5 first.
labels = np.array([[0, 1], [0, -1], [1, 2], [2, 0], [3, 5], [5, 4], [4, -1], [0, 0], [2, 1], [1, 0], [3, 3], [0, 2]], float)
predictions = np.array([[-0.5, 1.25], [0.25, 9], [1.5, 1], [1.75, 0.5], [2.5, 6.5], [4.5, 3.25], [5.75, 0], [0.125, -1],
                        [2.25, 2], [0.5, 0.75], [3.5, 2.5], [0, 1.5]])
for k, name in enumerate(["AU06", "AU12"]):
    coded = labels[:, k] >= 0
    a, b = np.clip(predictions[coded, k], 0, 5), labels[coded, k]
    print(f"{name}: count {coded.sum()} icc {icc_3_1(np.stack([a, b], 1)):.10f} pearson {np.corrcoef(a, b)[0, 1]:.10f} "
          f"mse {np.mean((a - b) ** 2):.10f} mae {np.mean(np.abs(a - b)):.10f}")
