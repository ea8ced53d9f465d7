"""Says which data a model knows beside that of its last fit, so that nothing is judged on it unnoticed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Self

import numpy as np

from hpa_sdk.models.network_form import CHANNELS
from hpa_sdk.preprocessing import Planes

MOST_FITS, MOST_FIELDS = 200, 20_000
"""Most fingerprints of earlier fits, and most hashes of earlier fields, that a card lists: 175 kB of it."""

_HASH = 6  # bytes: two of some thousand fields are equal once in a hundred million times


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownData:
    """What a model knows beside the data that `Training` names and the fields of its `Adaptation`.

    Attributes
    ----------
    tables : tuple of str
        If its fit was on several tables: the fingerprint of each.
    fits : tuple of str
        Fingerprints of the data that earlier models were fitted on, of which this one was made; the newest first.
    field_hashes : bytes
        Of the fields that these earlier models were adapted to: `field_hash` of each.
    left_out : int
        How many fingerprints and hashes are not listed: those of the oldest models, if there are more than `MOST_FITS`
        or `MOST_FIELDS`.
    """

    tables: tuple[str, ...] = ()
    fits: tuple[str, ...] = ()
    field_hashes: bytes = b""
    left_out: int = 0

    @classmethod
    def of(cls, tables: Sequence[str], fits: Iterable[str], fields: Iterable[bytes], *, left_out: int = 0) -> Self:
        """Make it of all that is known, the newest first, and leave out the oldest if it is too much.

        Parameters
        ----------
        tables, fits : iterable of str
            As the attributes; some can be there twice.
        fields : iterable of bytes
            Hashes of fields, joined in any portions.
        left_out : int
            What an earlier model left out already.
        """
        known_fits = dict.fromkeys(fits)
        hashes = dict.fromkeys(one for joined in fields for one in _split(joined))
        kept_fits, kept = tuple(islice(known_fits, MOST_FITS)), tuple(islice(hashes, MOST_FIELDS))
        missing = len(known_fits) - len(kept_fits) + len(hashes) - len(kept)
        return cls(tables=tuple(tables), fits=kept_fits, field_hashes=b"".join(kept), left_out=left_out + missing)


def split_hashes(*joined: bytes) -> frozenset[bytes]:
    """Return the hashes of fields that `Adaptation.field_hashes` and `KnownData.field_hashes` join."""
    return _hashes(joined)


@lru_cache(maxsize=8)  # asked for each field that is predicted
def _hashes(joined: tuple[bytes, ...]) -> frozenset[bytes]:
    return frozenset(one for some in joined for one in _split(some))


def _split(joined: bytes) -> Iterable[bytes]:
    return (joined[at : at + _HASH] for at in range(0, len(joined), _HASH))


def field_hash(planes: Planes, channels: Sequence[str]) -> bytes:
    """Identify a field by its planes, so that a copy in another file or of another format is the same field.

    Parameters
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W) as they were read, in the order red, green, blue, yellow; or only those of
        `channels`, in their order.
    channels : sequence of str
        The planes that the model takes. The others do not count.
    """
    held = CHANNELS if len(planes) == len(CHANNELS) else tuple(channels)
    taken = planes[[held.index(name) for name in CHANNELS if name in channels]]
    little_endian = np.ascontiguousarray(taken, taken.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{taken.dtype.itemsize} {taken.shape}".encode())
    digest.update(little_endian.data)
    return digest.digest()[:_HASH]
