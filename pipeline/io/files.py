"""Recordings by address: a path of this machine or a URL of anything fsspec can reach.

Conventions
-----------
A URL is ``protocol://...``; anything else is a path. ``file://`` stands for the path in it. A
driver takes credentials from the environment or its own files, never from the URL, as the
address of a recording is stored with its results. Listings are never cached: what came in since
the last look is seen. In a URL ``*``, ``**`` and ``[...]`` make a pattern; ``?`` may be a query.

Source: fsspec (filesystem_spec).
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pipeline.errors import UnreadableAudio, UsageError, one_line

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

BLOCK = 2**20
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PATTERN = re.compile(r"[*\[]")
_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+://[^/\s:@]*:)[^/\s@]+@")
_SECRET = re.compile(
    r"([?&;](?:[^=&\s]*(?:token|sig|secret|passw|pwd|auth|cred|key|session|jwt|code)[^=&\s]*"
    r"|x-[a-z]+-[^=&\s]*)=)(?!\*[0-9a-f]{6}(?![^&#\s]))([^&#\s\"']+)",
    re.IGNORECASE,
)
_WEB = ("http://", "https://")


def is_url(path: str) -> bool:
    """Whether this is an address such as ``s3://bucket/call.wav``, not a path of this machine.

    >>> is_url("s3://calls/a.wav"), is_url("/calls/a.wav"), is_url("C://calls/a.wav")
    (True, False, False)
    """
    return _URL.match(path) is not None


def plain(path: str) -> str:
    """Turn a ``file://`` URL into the path it stands for; leave everything else as it is."""
    if not path.startswith("file://"):
        return path
    return unquote(path.removeprefix("file://").removeprefix("localhost"))


def has_pattern(url: str) -> bool:
    """Whether a URL stands for all files that fit it."""
    return _PATTERN.search(url) is not None


def has_password(url: str) -> bool:
    """Whether a URL holds a password, as in ``ftp://name:password@host/``."""
    return "@" in url and bool(urlsplit(url).password)


def shown(text: str) -> str:
    """A text with the secrets of the URLs in it masked: passwords, and tokens of their queries.

    A masked value keeps six digits of its SHA-256, so that two of them stay two.

    >>> shown("https://host/a.wav?v=2&token=abc")
    'https://host/a.wav?v=2&token=*ba7816'
    """
    if "://" not in text:
        return text
    text = _USER.sub(r"\1***@", text)
    return _SECRET.sub(lambda m: f"{m[1]}*{hashlib.sha256(m[2].encode()).hexdigest()[:6]}", text)


def find(url: str) -> list[str]:
    """List the files a URL stands for: the file itself, all in a folder, or all that fit.

    Parameters
    ----------
    url : str
        File, folder (searched to any depth) or pattern. Hidden files are left out. Over HTTP a
        folder is an address that ends in ``/`` and shows links to its files.

    Returns
    -------
    list of str
        URLs in order; empty if there is nothing.

    Raises
    ------
    UsageError
        If no driver for its protocol is installed, or there is no such protocol.
    UnreadableAudio
        If it cannot be listed.
    """
    if url.startswith(_WEB) and not url.endswith("/") and not has_pattern(url):
        return [url]  # asking for a listing would load the whole file
    system, path = _opened(url)
    try:
        if has_pattern(url):
            known = system.glob(path, detail=True)
            hits = [hit for hit, about in known.items() if about["type"] == "file"]
        else:
            hits = system.find(path)
            if not hits:
                system.ls(path)  # many drivers list nothing where they should say why
    except FileNotFoundError:
        return []
    except Exception as error:  # every driver has a family of errors of its own
        raise _unreadable(url, error) from error
    if hits == [path]:
        return [url]
    folder = _PATTERN.split(path)[0].rpartition("/")[0] if has_pattern(url) else path.rstrip("/")
    shown = [hit for hit in hits if "/." not in hit[len(folder) :]]
    return sorted(system.unstrip_protocol(hit) for hit in shown)


@contextmanager
def local(path: str) -> Iterator[str]:
    """Give a path of this machine for a path or a URL.

    What a URL stands for is copied to a temporary file with the same suffix, which is gone when
    the block ends.

    Raises
    ------
    UnreadableAudio
        If it cannot be fetched.
    """
    path = plain(path)
    if not is_url(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="callcoach-") as folder:
        copy = os.path.join(folder, "recording" + suffix(path))
        with _fetching(path) as (system, inside):
            system.get_file(inside, copy)
        yield copy


def sha256(path: str) -> str:
    """SHA-256 of what a path or a URL holds, in hexadecimal, read in blocks.

    Raises
    ------
    UnreadableAudio
        If it cannot be read.
    """
    path, digest = plain(path), hashlib.sha256()
    if is_url(path):
        with _fetching(path) as (system, inside), system.open(inside, "rb") as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
        return digest.hexdigest()
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited on for ever
            raise UnreadableAudio("This is not a regular file.", "Save it to a file first.")
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnreadableAudio(
            f"The file cannot be read: {error.strerror or error}.",
            "Check the path, the access rights and the disk or network drive.",
        ) from error


def parts(path: str) -> tuple[str, ...]:
    """Folders and name of a path or a URL, without its root, protocol or web query.

    >>> parts("/calls/day/a.wav"), parts("s3://bucket/day/a.wav")
    (('calls', 'day', 'a.wav'), ('bucket', 'day', 'a.wav'))
    """
    if not is_url(path):
        whole = Path(path)
        return whole.parts[bool(whole.anchor) :]
    if path.startswith(_WEB):
        path = unquote(path.partition("#")[0].partition("?")[0])
    return tuple(part for part in path.partition("://")[2].split("/") if part)


def name(path: str) -> str:
    """Last part of a path or a URL."""
    return (parts(path) or ("",))[-1]


def stem(path: str) -> str:
    """Last part without its suffix."""
    return os.path.splitext(name(path))[0]


def suffix(path: str) -> str:
    """Lower-case suffix of the last part: ``.wav``, or nothing."""
    return os.path.splitext(name(path))[1].lower()


def _opened(url: str) -> tuple[AbstractFileSystem, str]:
    """Driver and path within it."""
    from fsspec.core import url_to_fs

    protocol = url.partition("://")[0]
    try:
        system, path = url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise UsageError(
            f"There is no driver for {protocol}:// here. {error}.",
            "Install it with pip on every machine that reads the recordings.",
        ) from error
    except ValueError as error:
        raise UsageError(
            shown(f'"{url}" cannot be used as an address: {one_line(error)}.'),
            "Examples: s3://bucket/folder/, gs://bucket/*.wav, file:///folder/call.wav",
        ) from error
    return system, path


@contextmanager
def _fetching(url: str) -> Iterator[tuple[AbstractFileSystem, str]]:
    """Driver and path; whatever goes wrong with them costs this recording only."""
    try:
        yield _opened(url)
    except UsageError as error:
        raise UnreadableAudio(error.message, error.hint) from error
    except Exception as error:  # every driver has a family of errors of its own
        raise _unreadable(url, error) from error


def _unreadable(url: str, error: Exception) -> UnreadableAudio:
    error = error.__cause__ if isinstance(error.__cause__, Exception) else error
    missing = isinstance(error, FileNotFoundError)
    reason = "there is no such file" if missing else f"{type(error).__name__}: {one_line(error)}"
    return UnreadableAudio(
        shown(f"{url} cannot be read: {reason}."),
        "Check the address, the network and the credentials the driver finds on this machine.",
    )
