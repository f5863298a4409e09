"""Learning rates on the device, seen by nobody but the optimizer's step."""

import copy
from functools import partial

import pytest
import torch

from runtime.graph.optimizer import DeviceOptimizer, cannot_be_split

CPU = torch.device("cpu")


def parameter():
    return torch.nn.Parameter(torch.tensor([1.0, 2.0]))


def stepper_of(make, flags=("capturable", "fused")):
    weight = parameter()
    weight.grad = torch.tensor([0.5, -1.0])
    return DeviceOptimizer(make([weight]), CPU, flags), weight


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_a_step_takes_the_rate_of_the_group(kind):
    stepper, weight = stepper_of(partial(kind, lr=0.1), ("fused",))
    usual = parameter()
    usual.grad = weight.grad.clone()
    other = kind([usual], lr=0.1)
    for rate in (0.1, 0.1, 0.5):  # a schedule sets it
        stepper.optimizer.param_groups[0]["lr"] = other.param_groups[0]["lr"] = rate
        stepper.step()
        other.step()
    assert torch.allclose(weight, usual)


def test_the_settings_are_there_during_the_step_only():
    stepper, _ = stepper_of(partial(torch.optim.Adam, lr=0.1))
    before = copy.deepcopy(stepper.optimizer.state_dict()["param_groups"])
    stepper.refresh()
    with stepper.on_device():
        group = stepper.optimizer.param_groups[0]
        assert (group["capturable"], group["fused"]) == (True, True)
        assert isinstance(group["lr"], torch.Tensor)
    assert stepper.optimizer.state_dict()["param_groups"] == before


@pytest.mark.parametrize("wish", [{"foreach": True}, {"fused": False}, {"differentiable": True}], ids=str)
def test_what_the_user_wishes_stays(wish):
    stepper, _ = stepper_of(partial(torch.optim.Adam, lr=0.1, **wish))
    stepper.refresh()
    with stepper.on_device():
        group = stepper.optimizer.param_groups[0]
        assert group["capturable"]
        assert not group["fused"]
        assert {name: group[name] for name in wish} == wish


@pytest.mark.parametrize(
    ("make", "recordable"),
    [
        (torch.optim.Adam, True),
        (torch.optim.SGD, True),
        (torch.optim.RMSprop, True),
        (partial(torch.optim.SGD, fused=False), False),  # it would read its rate on the host
        (torch.optim.Adagrad, False),
    ],
)
def test_whether_a_step_can_be_recorded(make, recordable):
    assert stepper_of(partial(make, lr=0.1))[0].is_recordable is recordable


def test_counts_of_a_checkpoint_go_to_the_device():
    stepper, weight = stepper_of(partial(torch.optim.Adam, lr=0.1))
    stepper.optimizer.step()
    stepper.optimizer.state[weight]["step"] = torch.tensor(7.0, dtype=torch.float64)
    stepper.refresh()
    assert stepper.optimizer.state[weight]["step"].dtype == torch.float32


def test_numbers_name_what_a_recording_fixes():
    stepper, _ = stepper_of(partial(torch.optim.Adam, lr=0.1))
    before = stepper.numbers()
    stepper.optimizer.param_groups[0]["lr"] = 0.5
    assert stepper.numbers() == before
    stepper.optimizer.param_groups[0]["betas"] = (0.5, 0.9)
    assert stepper.numbers() != before


class Own(torch.optim.SGD):
    pass


@pytest.mark.parametrize(
    ("make", "reason"),
    [(torch.optim.LBFGS, "several times"), (Own, "not of torch.optim"), (torch.optim.Adam, None)],
)
def test_which_steps_can_be_split_from_the_backward_pass(make, reason):
    found = cannot_be_split(make([parameter()], lr=0.1))
    assert found is None if reason is None else reason in found
