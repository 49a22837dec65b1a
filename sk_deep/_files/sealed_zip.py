"""Archives of skops that end in a hash of themselves."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from sk_deep.exceptions import CorruptModelError

FIRST_BYTES = b"PK\x03\x04"  # of an archive
_SCHEMA = "schema.json"  # the part that lists the others
_N_DIGITS = 64  # of a SHA-256


def seal(content: bytes, metadata: Mapping[str, Any]) -> bytes:
    """Write metadata and the hash of the file into the archive's comment.

    Parameters
    ----------
    content : bytes
        An archive.
    metadata : mapping from str to object
        For JSON.

    Returns
    -------
    sealed : bytes
        The archive, which ends in its own hash.
    """
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = json.dumps(metadata).encode() + bytes(_N_DIGITS)
    sealed = buffer.getvalue()[:-_N_DIGITS]
    return sealed + hashlib.sha256(sealed).hexdigest().encode()


def unseal(content: bytes) -> dict[str, Any]:
    """Check the hash and the sizes of a sealed archive.

    Parameters
    ----------
    content : bytes
        What `seal` returned.

    Returns
    -------
    metadata : dict of str to object
        The metadata.

    Raises
    ------
    CorruptModelError
        If a byte has changed, or the archive is not one that skops writes.
    """
    sealed, digits = content[:-_N_DIGITS], content[-_N_DIGITS:]
    if hashlib.sha256(sealed).hexdigest().encode() != digits:
        raise CorruptModelError(
            "the file has changed since it was written, or was not written by "
            "sk_deep.save; skops.io.load(path, trusted=sk_deep.trusted_types()) reads "
            "other files."
        )
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise CorruptModelError("the file's parts must not be compressed.")
        if sum(entry.file_size for entry in entries) > len(content):
            raise CorruptModelError("the file's parts must not overlap.")
        _check_parts_are_used_once(archive.read(_SCHEMA))
        return json.loads(archive.comment[:-_N_DIGITS])


def _check_parts_are_used_once(schema: bytes) -> None:
    """Check that the memory for the parts is no more than the file's size."""
    owners: dict[str, Any] = {}

    def note(node: dict[str, Any]) -> dict[str, Any]:
        if "file" in node:
            owner = node.get("__id__")  # skops reads a node of the same id once
            if node["file"] in owners and (not owner or owner != owners[node["file"]]):
                raise CorruptModelError(
                    f"{node['file']!r:.50} must hold one array only."
                )
            owners[node["file"]] = owner
        return node

    json.loads(schema, object_hook=note)
