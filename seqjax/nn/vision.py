"""Images as sequences of patches."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from seqjax._internal.types import Array, Float, Key, Shape
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.nn.checks import check_count, check_rngs
from seqjax.nn.embedding import make_head
from seqjax.nn.encoder import TransformerEncoder
from seqjax.nn.parameters import Linear
from seqjax.nn.style import Style


class VisionTransformer(nnx.Module):
    """Logits of classes for images, which are read as patches (Dosovitskiy et al. 2021).

        logits = mean over patches of encoder(patches E + e) W + w

    The mean stands for the class token of the paper (section D.3 finds them alike). Parts: patches (E, e), encoder,
    which adds learned positions, and head.

    Args:
        classes: number of classes.
        features, heads, layers: D, N, L.
        image: height, width and channels of an image, `(8, 8, 1)`.
        patch: height and width of a patch, which divide those of the image.
        dropout: rate, as in `TransformerEncoder`.
        style: how blocks are built.
        remat: whether the backward pass computes each layer again.
        rngs: draws the parameters.

        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from seqjax.nn import VisionTransformer
        >>> model = VisionTransformer(10, 8, 2, 1, image=(8, 8, 1), patch=4, rngs=nnx.Rngs(0))
        >>> model(jnp.ones((3, 8, 8, 1))).shape
        (3, 10)

    Raises:
        ArgumentError, ArgumentTypeError: patches that do not divide the image; images of another shape, or not
            floating point; as `TransformerEncoder`.
    """

    asks: frozenset[str] = frozenset()

    def __init__(
        self,
        classes: int,
        features: int,
        heads: int,
        layers: int,
        *,
        image: Shape,
        patch: int,
        dropout: float = 0.0,
        style: Style = Style(),
        remat: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        name = "VisionTransformer"
        check_rngs(name, rngs)
        if not isinstance(image, tuple) or len(image) != 3:
            raise ArgumentError(f"{name}: image must be (height, width, channels), found {image!r}")
        height, width, channels = (check_count(name, "image", size) for size in image)
        self.image, self.patch = image, check_count(name, "patch", patch)
        if height % patch or width % patch:
            raise ArgumentError(f"{name}: patch must divide height and width, found patch={patch}, image={image}")
        number = (height // patch) * (width // patch)
        self.patches = Linear({"pixels": patch * patch * channels}, {"features": features}, rngs=rngs)
        self.encoder = TransformerEncoder(
            None, features, heads, layers, capacity=number, dropout=dropout, style=style, remat=remat, rngs=rngs
        )
        self.head = make_head(features, check_count(name, "classes", classes), "classes", bias=True, rngs=rngs)

    @property
    def random(self) -> bool:
        """Whether a call needs a key."""
        return self.encoder.random

    def __call__(
        self, images: Float[Array, "*B H W C"], *, key: Key[Array, "..."] | None = None
    ) -> Float[jax.Array, "*B V"]:
        """The logits of images `[*B, height, width, channels]`; `key` is one key, or one for each patch."""
        check_images(images, self.image)
        y = self.encoder(self.patches(cut_patches(images, self.patch)), key=key)
        return self.head(jnp.mean(y, axis=-2))


def cut_patches(images: Float[Array, "*B H W C"], patch: int) -> Float[jax.Array, "*B T P"]:
    """The patches of images, row by row, each as one vector of its pixels, row by row."""
    *batch, height, width, channels = images.shape
    rows, columns = height // patch, width // patch
    cut = jnp.asarray(images).reshape(*batch, rows, patch, columns, patch, channels)
    return jnp.swapaxes(cut, -3, -4).reshape(*batch, rows * columns, patch * patch * channels)


def check_images(images: Any, image: Shape) -> None:
    """Refuse what is not `[..., height, width, channels]` in floating point."""
    dtype = getattr(images, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        found = type(images).__name__ if dtype is None else dtype
        raise ArgumentTypeError(f"VisionTransformer: images must be floating point, found {found}. Divide bytes by 255")
    if images.shape[-3:] != image:
        slip = " Are channels missing? Write images[..., None]" if image[-1] == 1 else ""
        raise ArgumentError(f"VisionTransformer: images must be [..., {str(image)[1:-1]}], found {images.shape}.{slip}")
