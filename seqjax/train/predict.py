"""What a trained model says to new sequences."""

from typing import Any

import jax
import numpy as np

from seqjax._internal.types import Array, Float, PyTree
from seqjax._internal.validation import whole_number
from seqjax.batching import Shuffled
from seqjax.core.cell import Cell, check_cell_type
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.train.objective import check_at, outputs_at


def predict(
    cell: Cell, params: PyTree, inputs: Any, *, at: str = "last", batch_size: int = 64
) -> Float[Array, "n ..."] | list[Float[Array, "T F"]]:
    """The outputs of a model for sequences, in their order.

    Sequences are padded to the next power of two of the longest in their batch, so few programs are compiled, and the
    padding changes no output. Random parts are switched off (`cell.evaluation()`).

    Args:
        cell, params: the model.
        inputs: sequences as `batching.Shuffled` takes them: a `Ragged`, an array `[n, T, ...]`, or a list of arrays.
        at: "last" gives the output at the last step of each, `[n, F]`; "each" gives those of all its steps, a list of
            n arrays `[T, F]`.
        batch_size: sequences at a time.

    Raises:
        ArgumentError, ArgumentTypeError: an option that cannot be right, or inputs that the model cannot take, such
            as ids that are not in its vocabulary.

    >>> import jax
    >>> from seqjax import RNN, text
    >>> letters = text.Vocabulary.characters("abc")
    >>> from seqjax import Embed, stack
    >>> model = stack(Embed(3, 2), RNN(4))
    >>> params = model.init(jax.random.key(0), 0)
    >>> predict(model, params, letters.encode_all(["a", "abba", "cab"])).shape
    (3, 4)
    >>> [each.shape for each in predict(model, params, letters.encode_all(["a", "abba"]), at="each")]
    [(1, 4), (4, 4)]
    """
    check_cell_type("predict", cell)
    check_at(at)
    if "source" in cell.asks:
        raise ArgumentError(
            f"predict: {cell!r} answers a source with a sequence of its own. Write decode.generate(cell, params, "
            "prompt, steps=50, carry=cell.initial_carry(params, (n,), source=source)), prompt being n times cell.begin"
        )
    batch_size = whole_number("batch_size", batch_size, 1)
    try:
        count = len(inputs)
    except TypeError:
        raise ArgumentTypeError(f"inputs must be a list of arrays, one each, found {inputs!r}") from None
    source = Shuffled(inputs, np.zeros(count, np.int32), min(batch_size, max(count, 1)), shuffle=False)
    run = jax.jit(lambda params, xs, lengths: outputs_at(at, cell.evaluation(), params, xs, lengths, None)[1])
    found: list[Any] = []
    for step in range(source.steps_per_epoch):
        batch = source.batch(step)
        longest = max(int(batch.lengths.max()), 1)
        padded = min(1 << (longest - 1).bit_length(), batch.inputs.shape[1])
        xs, mask = batch.inputs[:, :padded], np.arange(padded) < batch.lengths[:, None]
        cell.check_input(xs, mask, values=True)  # inside jit nobody knows the values: an unknown id would give NaN
        outputs = np.asarray(run(params, xs, batch.lengths))[batch.weights]
        lengths = batch.lengths[batch.weights]
        found += list(outputs) if at == "last" else [row[:length] for row, length in zip(outputs, lengths)]
    return np.stack(found) if at == "last" else found
