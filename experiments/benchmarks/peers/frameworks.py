"""The frameworks: which file is about each, and whose version counts."""

from typing import NamedTuple


class Framework(NamedTuple):
    """file: of this package. make: its function that gives a model. package: as `pip` has it. imported: the module."""

    file: str
    make: str
    package: str
    imported: str


FRAMEWORKS = {
    "seqjax": Framework("ours", "make", "seqjax", "seqjax"),
    "seqjax_step": Framework("ours", "make_step_alone", "seqjax", "seqjax"),
    "linen": Framework("linen", "make", "flax", "flax.linen"),
    "nnx": Framework("nnx", "make", "flax", "flax.nnx"),
    "haiku": Framework("haiku_cores", "make", "dm-haiku", "haiku"),
    "equinox": Framework("equinox_cells", "make", "equinox", "equinox"),
    "keras": Framework("keras_layers", "make", "keras", "keras"),
    "sequence_layers": Framework("sequence_layers_lstm", "make", "sequence-layers", "sequence_layers.jax"),
    "torch": Framework("torch_modules", "Program", "torch", "torch"),
}

OURS = ("seqjax", "seqjax_step")
