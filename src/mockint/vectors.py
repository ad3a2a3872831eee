"""The only reader of the static word vectors: 256 numbers a word, so that "voltage" and "potential" are near each other.

The vectors are those that `wordllama` (MIT) ships inside its wheel; only its two files are read, with safetensors and tokenizers, in 60 ms,
since its own loader looks for the tokenizer in another folder and tries to download it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    Vector = NDArray[np.float32]

PACKAGE = "wordllama"


@cache
def name() -> str:
    """Returns which vectors these are, for a stamp."""
    return f"{PACKAGE} {version(PACKAGE)}"


def similarities(ones: Sequence[str], others: Sequence[str]) -> NDArray[np.float32]:
    """Returns the cosine of each of the words (rows, lower case) with each of the others (columns), from -1 to 1."""
    import numpy as np

    size = _table().shape[1]
    left, right = (
        np.stack([_vector(word) for word in words]) if words else np.zeros((0, size), dtype=np.float32)
        for words in (ones, others)
    )
    return left @ right.T


def likeness(ones: Sequence[str], worth: Sequence[float], others: Sequence[str], back: Sequence[float]) -> float:
    """Returns the cosine of two texts' vectors, each the sum of its words' vectors times what each word is worth."""
    import numpy as np

    left = np.stack([_vector(word) for word in ones]).T @ np.array(worth)
    right = np.stack([_vector(word) for word in others]).T @ np.array(back)
    lengths = float(np.linalg.norm(left) * np.linalg.norm(right))
    return round(float(left @ right) / lengths, 4) if lengths else 0.0


@lru_cache(maxsize=50_000)
def _vector(word: str) -> Vector:
    """Returns the mean of the vectors of a word's pieces, of length 1."""
    import numpy as np

    pieces = _tokenizer().encode(word, add_special_tokens=False).ids
    mean: Vector = (
        _table()[pieces].astype(np.float32).mean(axis=0) if pieces else np.zeros(_table().shape[1], np.float32)
    )
    length = float(np.linalg.norm(mean))
    return mean / length if length else mean


@cache
def _table() -> Vector:
    from safetensors.numpy import load_file

    (table,) = load_file(_folder() / "weights" / "l2_supercat_256.safetensors").values()
    return table


@cache
def _tokenizer() -> Tokenizer:
    from tokenizers import Tokenizer

    tokenizer: Tokenizer = Tokenizer.from_file(str(_folder() / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _folder() -> Path:
    found = find_spec(PACKAGE)  # finds it without importing it
    if found is None or found.origin is None:
        raise ImportError(f"{PACKAGE} is not installed; it is among mockint's requirements")
    return Path(found.origin).parent
