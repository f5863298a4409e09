"""Values that a checkpoint cannot hold as they are."""

import enum


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Name(str):
    pass


class Thing:
    pass
