"""Decoders as their papers write them, in NumPy and float64, for one sequence and step by step."""

import numpy as np


def softmax(e):
    e = np.exp(e - np.max(e))
    return e / np.sum(e)


def additive(p, q, keys, past):
    """Bahdanau et al. 2015, appendix A.1.2."""
    return np.array([p["v"] @ np.tanh(p["query"].T @ q + p["keys"].T @ k) for k in keys])


def dot(p, q, keys, past):
    """Luong et al. 2015, eq. 8, first."""
    return np.array([q @ k for k in keys])


def general(p, q, keys, past):
    """Luong et al. 2015, eq. 8, second."""
    return np.array([q @ p["kernel"] @ k for k in keys])


def concat(p, q, keys, past):
    """Luong et al. 2015, eq. 8, third."""
    return np.array([p["v"] @ np.tanh(p["kernel"].T @ np.concatenate([q, k])) for k in keys])


def location(p, q, keys, past):
    """Chorowski et al. 2015, eq. 8 and 9: f = F * alpha_{t-1}, by a sum over the filter."""
    width, filters = p["filter"].shape
    steps, half = len(keys), width // 2
    features = np.zeros((steps, filters))
    for s in range(steps):
        for m in range(width):
            if 0 <= s + m - half < steps:
                features[s] += past[s + m - half] * p["filter"][m]
    hidden = [p["query"].T @ q + p["keys"].T @ k + p["location"].T @ f + p["bias"] for k, f in zip(keys, features)]
    return np.array([p["v"] @ np.tanh(row) for row in hidden])


def coverage(p, q, keys, past):
    """See et al. 2017, eq. 11: w_c times the coverage of each word."""
    hidden = [p["query"].T @ q + p["keys"].T @ k + p["location"][0] * c + p["bias"] for k, c in zip(keys, past)]
    return np.array([p["v"] @ np.tanh(row) for row in hidden])


def raffel(p, q, keys, past):
    """Raffel et al. 2017, eq. 16."""
    v = p["scale"] * p["v"] / np.linalg.norm(p["v"])
    return np.array([v @ np.tanh(p["query"].T @ q + p["keys"].T @ k + p["bias"]) + p["offset"] for k in keys])


def monotonic_weights(energies, past):
    """Raffel et al. 2017, eq. 8 and 9, key by key: p is 0 at keys that there are not."""
    chance = 1 / (1 + np.exp(-energies))
    weights, arriving = np.zeros(len(past)), 0.0
    for j in range(len(past)):
        arriving = past[j] + (arriving * (1 - chance[j - 1]) if j else 0.0)
        weights[j] = chance[j] * arriving
    return weights


ENERGIES = {"additive": additive, "dot": dot, "general": general, "concat": concat, "location": location,
            "coverage": coverage, "monotonic": raffel, "mean": lambda p, q, keys, past: np.zeros(len(keys))}  # fmt: skip


def decode(cell, params, values, real, xs):
    """Outputs and weights of `attend(RNN(F), ...)` for one source, whose real steps are the numbers `real`."""
    p, keys = params["score"], values[real]
    ends = np.concatenate([keys[-1], keys[0]])
    cross = lambda part: np.tanh(ends @ part["kernel"] + part["bias"])
    size = params["combine"]["kernel"].shape[1]
    h = cross(params["bridge"]["state"]["h"]) if cell.start == "bridge" else np.zeros(size)
    fed = cross(params["bridge"]["fed"]) if "fed" in params.get("bridge", {}) else np.zeros(size)
    past = np.zeros(len(real))
    past[0] = cell.score == "monotonic"
    outputs, all_weights = [], []

    def look(q):
        energies = ENERGIES[cell.score](p, q, keys, past)
        weights = monotonic_weights(energies, past) if cell.score == "monotonic" else softmax(energies)
        return weights, weights @ keys

    def step(x, h):
        w = params["cell"]
        return np.tanh(x @ w["project"]["kernel"] + w["project"]["bias"] + h @ w["mix"]["kernel"])

    for x in xs:
        if cell.feed == "before":  # Bahdanau: s_i = f(s_{i-1}, [y_{i-1}; c_i])
            weights, context = look(fed)
            h = step(np.concatenate([x, context]), h)
        else:  # Luong with input feeding: h_t = f(h_{t-1}, [x_t; h~_{t-1}])
            h = step(np.concatenate([x, fed]), h)
            weights, context = look(h)
        attended = np.tanh(np.concatenate([context, h]) @ params["combine"]["kernel"])  # Luong, eq. 5
        fed = h if cell.feed == "before" else attended
        past = past + weights if cell.score == "coverage" else weights
        outputs.append(attended)
        row = np.zeros(len(values))
        row[real] = weights
        all_weights.append(row)
    return np.array(outputs), np.array(all_weights)


def pointer_generator(params, h, weights, tokens, words):
    """See et al. 2017, eq. 9, with the chance to write from the output."""
    write = 1 / (1 + np.exp(-(h @ params["gate"]["kernel"] + params["gate"]["bias"])[0]))
    written = softmax(h @ params["generator"]["kernel"] + params["generator"]["bias"])
    chances = np.zeros(words)
    chances[: len(written)] = write * written
    for weight, token in zip(weights, tokens):
        chances[token] += (1 - write) * weight
    return chances
