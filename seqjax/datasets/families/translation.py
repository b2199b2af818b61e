"""Pairs of sentences in two languages: Multi30k."""

import functools
from collections.abc import Mapping

from seqjax.batching.ragged import Ragged
from seqjax.datasets.content import Content, Split
from seqjax.datasets.entry import Entry
from seqjax.datasets.fetch.addresses import GitHub
from seqjax.datasets.fetch.archives import unpack
from seqjax.datasets.fetch.origins import Original

COMMIT = "c9be912dc05a3ebf9ae5bb5f7f58c1791cda43ab"
MULTI30K = {
    "train.en": ("d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f", 568_929),
    "train.de": ("726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6", 637_044),
    "train.fr": ("622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c", 604_242),
    "val.en": ("14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28", 21_650),
    "val.de": ("f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a", 24_681),
    "val.fr": ("ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9", 23_001),
    "test_2016_flickr.en": ("611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9", 21_077),
    "test_2016_flickr.de": ("9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8", 22_890),
    "test_2016_flickr.fr": ("6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90", 22_310),
}
PARTS = {"train": "train", "valid": "val", "test": "test_2016_flickr"}


def _multi30k_files(language: str) -> tuple[Original, ...]:
    return tuple(
        Original(
            f"multi30k/{name}.gz", *MULTI30K[name], GitHub("multi30k/dataset", COMMIT, f"data/task1/raw/{name}.gz")
        )
        for name in (f"{part}.{code}" for part in PARTS.values() for code in ("en", language))
    )


def _convert_multi30k(language: str, originals: Mapping[str, bytes]) -> Content:
    def lines(part: str, code: str) -> Ragged:
        name = f"multi30k/{part}.{code}.gz"
        return Ragged.of(unpack(name, originals[name]).decode().removesuffix("\n").split("\n"))

    return Content({name: Split(lines(part, "en"), lines(part, language)) for name, part in PARTS.items()})


def _multi30k_entry(language: str, name: str, digest: str, size: int) -> Entry:
    return Entry(
        name=f"multi30k_en_{language}",
        kind="pairs",
        about=f"captions of pictures in English and {name}, raw text",
        licence="CC BY-NC-SA 4.0, non-commercial research",
        citation="Elliott, Frank, Sima'an and Specia, 2016, Multi30K: multilingual English-German image descriptions",
        splits="published; test is test_2016_flickr",
        counts={"train": 29_000, "valid": 1_014, "test": 1_000},
        originals=_multi30k_files(language),
        convert=functools.partial(_convert_multi30k, language),
        digest=digest,
        size=size,
        overlap={"valid": 1, "test": 0},
    )


ENTRIES = (
    _multi30k_entry("de", "German", "48da311e75dd01089b142313912e39f098bcfa25d2c0bde3597af2beed96b087", 4_617_883),
    _multi30k_entry("fr", "French", "920f48fa6503d103a5a0994b51b1f35cc8dec30596b21a8e81ee8372541ce709", 4_618_343),
)
