"""``callcoach serve``: open the store and answer on this machine until stopped."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from pipeline.desk.app import LOCAL_HOSTS, create_app
from pipeline.desk.scope import Scope
from pipeline.desk.words import LANGUAGES
from pipeline.errors import CallcoachError, UsageError, nearest
from pipeline.settings import Settings
from pipeline.store import Store


def serve(
    target: str | Path,
    settings: Settings,
    *,
    host: str,
    port: int,
    language: str,
    behind_proxy: bool = False,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve a store until interrupted; ``ready`` is told the address to open.

    Raises
    ------
    UsageError
        If there is no store, or the address may not be used or is taken.
    """
    chosen = next((one for one in LANGUAGES if one == language), None)
    if chosen is None:
        raise UsageError(f'--lang "{language}" is not known.', nearest(language, LANGUAGES))
    if not behind_proxy and not _is_loopback(host):
        raise UsageError(
            f"--host {host} would let other machines in; there are no accounts.",
            "Leave --host out, or put a proxy that signs people in before it: --behind-proxy.",
        )
    hosts = None if behind_proxy else (*LOCAL_HOSTS, host.lower())
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    with Store.open(target, create=False) as store, _listening(host, port) as listener:
        app = create_app(store, settings, language=chosen, hosts=hosts)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            proxy_headers=behind_proxy,
            server_header=False,
            lifespan="on",
        )
        os.environ.setdefault("PYPINYIN_NO_PHRASES", "1")  # 47 MB: pages ask for single characters
        ready(_address(host, listener.getsockname()[1]))
        warm = threading.Thread(target=_sum, args=(app,), daemon=True)
        warm.start()
        with contextlib.suppress(KeyboardInterrupt):  # the way to end it
            uvicorn.Server(config).run(sockets=[listener])


def _sum(app: FastAPI) -> None:
    """Sum all calls by agent before somebody asks for it: over many calls that takes a while."""
    with contextlib.suppress(CallcoachError):  # whoever asks for the page will be told
        app.state.figures.warm(Scope(app.state.store))


def _address(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as cause:
        raise UsageError(
            f"{host}:{port} cannot be listened on: {cause.strerror or cause}.",
            "Choose another port: --port 8766, or --port 0 for any that is free.",
        ) from cause


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
