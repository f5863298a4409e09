"""Memory that one step frees is kept for the next."""

import ctypes
import sys

# From glibc's malloc.h; the second is as large as it may be on 64 bits, HEAP_MAX_SIZE / 2.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_MMAP_THRESHOLD = 32 * 2**20


def keep_freed_memory() -> bool:
    """Have the C library keep what is freed, instead of giving it back to the system; whether that could be set.

    A tensor of a few megabytes is asked of the system anew in every step, page by page, which costs a convolutional
    network on a processor more than all that Lightning does. On other systems than Linux with glibc nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return False
    trimmed = mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    return bool(trimmed and mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD))
