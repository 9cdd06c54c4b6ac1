"""Multinomial logistic regression: the simplest classifier, so that what it tells apart is in the features."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.special import logsumexp


@dataclass(frozen=True)
class Logistic:
    """A fitted classifier; features are standardised on the way in."""

    mean: Float[np.ndarray, " dim"]
    deviation: Float[np.ndarray, " dim"]
    weights: Float[np.ndarray, "inputs classes"]
    """One more input than features: the last one is constant."""

    def scores(self, features: Float[np.ndarray, "examples dim"]) -> Float[np.ndarray, "examples classes"]:
        """Return log-probabilities."""
        logits = _inputs((features - self.mean) / self.deviation) @ self.weights
        return logits - logsumexp(logits, axis=1, keepdims=True)

    def predict(self, features: Float[np.ndarray, "examples dim"]) -> Int[np.ndarray, " examples"]:
        """Return the most probable class of each example."""
        return self.scores(features).argmax(axis=1)


def fit(
    features: Float[np.ndarray, "examples dim"],
    labels: Int[np.ndarray, " examples"],
    classes: int,
    penalty: float = 1e-3,
    start: Float[np.ndarray, "inputs classes"] | None = None,
    iterations: int = 300,
) -> Logistic:
    """Fit by L-BFGS; every class counts the same, however many examples it has.

    Minimises the mean cross-entropy plus ``penalty / 2`` times the sum of the squared weights, but for those of the
    constant input.

    Args:
        labels: from 0 to `classes` - 1.
        start: weights to start from; zeros by default.
        iterations: at most.
    """
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation = np.where(deviation > 1e-6 * (1 + np.abs(mean)), deviation, 1.0).astype(features.dtype)
    inputs = _inputs((features - mean) / deviation)
    counts = np.bincount(labels, minlength=classes)
    share = (1 / (counts[labels] * (counts > 0).sum())).astype(features.dtype)
    rows = np.arange(len(labels))
    shape = (inputs.shape[1], classes)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape).astype(features.dtype)
        logits = inputs @ weights
        logits -= logsumexp(logits, axis=1, keepdims=True)
        value = -float(share @ logits[rows, labels])
        error = np.exp(logits)
        error[rows, labels] -= 1
        kept = weights.copy()
        kept[-1] = 0
        gradient = inputs.T @ (share[:, None] * error) + penalty * kept
        return value + 0.5 * penalty * float((kept * kept).sum()), gradient.astype(np.float64).ravel()

    first = np.zeros(shape) if start is None else start.astype(np.float64)
    found = minimize(loss, first.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": iterations, "gtol": 1e-4})
    return Logistic(mean, deviation, found.x.reshape(shape).astype(features.dtype))


def _inputs(features: Float[np.ndarray, "examples dim"]) -> Float[np.ndarray, "examples inputs"]:
    return np.concatenate([features, np.ones((len(features), 1), features.dtype)], axis=1)
