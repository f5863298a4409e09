"""The task that a data module names: one of `TASKS`, or a class of one's own by its class path."""

import inspect
from typing import Any

from lit_models.class_path import class_at
from lit_models.tasks import Binary, Multiclass, Multilabel, Reconstruction, Regression, Task

TASKS: dict[str, type[Task]] = {
    "binary": Binary,
    "multiclass": Multiclass,
    "multilabel": Multilabel,
    "regression": Regression,
    "reconstruction": Reconstruction,
}


def make_task(name: str, **known: Any) -> Task:
    """The task of that name or class path.

    Args:
        known: what a task may want to know (see `Task`); None and what the task does not name are left out.

    Raises:
        ValueError: for another name, values that do not fit the task, or an option that it does not have.
    """
    kind = TASKS.get(name) or own_task(name)
    wanted = inspect.signature(kind).parameters
    for option in ("label_smoothing", "class_weights", "pos_weight"):
        if known.get(option) and option not in wanted:
            raise ValueError(f"{option} is {known[option]}, but a {name} task does not have it; leave it out")
    return kind(**{option: known[option] for option in wanted if known.get(option) is not None})


def own_task(path: str) -> type[Task]:
    """The class at a class path such as `my_tasks.Ordinal`.

    Raises:
        ValueError: if there is none, or it is no task.
    """
    choices = f"one of {', '.join(TASKS)}, or the class path of a subclass of lit_models.tasks.Task"
    if "." not in path:
        raise ValueError(f"task is {path!r}; it must be {choices}")
    return class_at("task", path, Task, choices)
