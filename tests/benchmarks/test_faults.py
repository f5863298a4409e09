"""The programs of the benchmark train, and what was said of them is scored as the page explains."""

import math

import pytest
import pytorch_lightning as pl
import torch

from benchmarks import faults
from benchmarks.fault_programs import FAULTS, HEALTHY, Program
from benchmarks.fault_programs.base import Run, Supervised, fault, mlp
from benchmarks.fault_programs.data import flat, loaders, raw_digits
from benchmarks.fault_programs.zoo import ZOO
from benchmarks.fault_rivals import RIVALS, Rival, TheDeepChecker, TorchAudit, Umlaut
from benchmarks.fault_runs import Finding, Losses, Outcome, Watch, fell, fit, train
from benchmarks.fault_scores import Scores, Share, alarm_rate, score, summary
from callbacks import Diagnosis
from callbacks.diagnostics.verdict import Verdict

FAULT = Program("some_fault", lambda faulty: None, ("right", "right too"), "here")


def run_quietly(program: Program, faulty: bool) -> Losses:
    losses = Losses()
    fit(program, faulty, 2, 1, [losses], validates=False)
    return losses


@pytest.mark.parametrize("program", FAULTS.values(), ids=FAULTS)
def test_a_faulty_program_trains_and_its_twin_is_built(program: Program) -> None:
    assert program.fault, "its docstring says what is wrong"
    assert len(run_quietly(program, True).values) == 2
    twin = program.run(False)  # the same code; the benchmark trains it in full
    assert isinstance(twin.module, pl.LightningModule)
    assert next(iter(twin.train)) is not None


@pytest.mark.parametrize("program", HEALTHY.values(), ids=HEALTHY)
def test_a_healthy_program_trains(program: Program) -> None:
    losses = run_quietly(program, False)
    assert losses.values
    assert all(map(math.isfinite, losses.values))


def test_there_are_as_many_programs_as_the_page_says() -> None:
    assert len(FAULTS) >= 60
    assert len(HEALTHY) >= 100
    assert len([program for program in ZOO.values() if program.family == "torchvision"]) >= 25
    assert sum(program.control for program in HEALTHY.values()) >= 20


def test_a_twin_has_the_seed_of_its_fault() -> None:
    program = FAULTS["labels_from_1"]
    first, second = (run_quietly(program, False).values for _ in range(2))
    assert first == second


def test_two_programs_never_share_a_name() -> None:
    with pytest.raises(ValueError, match="labels_from_1"):

        @fault("anything")
        def labels_from_1(faulty: bool) -> Run:
            """The same name."""
            raise NotImplementedError


# --- what is noted ---


class Says(pl.Callback):
    """Has a note from step 1 on, which is a warning from step 3 on."""

    verdicts: tuple[Verdict, ...] = ()

    def on_train_batch_end(self, trainer, *_) -> None:
        severity = "warn" if trainer.global_step >= 3 else "info"
        self.verdicts = (Verdict("right", [], "It was measured.", "another", severity),)


def test_a_verdict_is_noted_when_it_first_appears_and_at_its_worst() -> None:
    says = Says()
    watch = Watch({"diagnosis": says, "none": Diagnosis()})
    fit(FAULTS["labels_from_1"], False, 5, 1, [says, watch])
    assert list(watch.found.values()) == [Finding("diagnosis", "right", "warn", 1)]


def test_a_program_that_breaks_is_reported() -> None:
    def build() -> Run:
        raise RuntimeError("no such thing")

    assert train(Program("broken", build), False).error == "RuntimeError: no such thing"


@pytest.mark.parametrize(
    ("losses", "learned"),
    [([2.0] * 20, False), ([2.0] * 10 + [1.0] * 10, True), ([-1.0] * 10 + [-3.0] * 10, True)],
)
def test_a_program_has_learned_if_its_loss_fell(losses: list[float], learned: bool) -> None:
    assert fell(losses) is learned


# --- scoring ---


def outcome(*findings: Finding, faulty: bool = True) -> Outcome:
    return Outcome("some_fault", faulty, list(findings))


@pytest.mark.parametrize(
    ("findings", "state", "step", "others"),
    [
        ([], "missed", None, ()),
        ([Finding("diagnosis", "note", "info", 5)], "missed", None, ()),
        ([Finding("diagnosis", "wrong", "warn", 5)], "misnamed", 5, ()),
        ([Finding("diagnosis", "right", "info", 9)], "named", 9, ()),
        (
            [Finding("diagnosis", "wrong", "fail", 5), Finding("check-up", "right too", "warn", 0)],
            "named",
            0,
            ("wrong",),
        ),
        (
            [Finding("diagnosis", "wrong", "warn", 5, "right"), Finding("check-up", "right", "fail")],
            "named",
            0,
            (),
        ),
        ([Finding("UMLAUT", "right", "warn", 0)], "missed", None, ()),
    ],
)
def test_a_fault_is_named_misnamed_or_missed(findings, state, step, others) -> None:
    row = score(FAULT, outcome(*findings))
    assert (row.state, row.step, row.others) == (state, step, others)


def test_a_rival_names_a_fault_by_what_its_alarm_could_mean() -> None:
    alarm = Finding("UMLAUT", "its own words", names=("other", "right"))
    assert score(FAULT, outcome(alarm), ("UMLAUT",)).state == "named"


def test_shares_and_rates() -> None:
    low, high = Share(0, 10).interval
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / 10))
    assert str(Share(9, 10)).startswith("9 of 10 = 90.0% (55.5% to 99.7%)")
    assert alarm_rate(0, 300) == "0 of 300, below 1.0%"
    assert alarm_rate(3, 300).startswith("3 of 300 = 1.0%")


def test_totals() -> None:
    right, wrong = Finding("check-up", "right", "fail"), Finding("diagnosis", "wrong", "warn", 20)
    rows = [score(FAULT, outcome(*findings)) for findings in ([right], [wrong], [], [right, wrong])]
    silent, alarmed = outcome(faulty=False), outcome(wrong, faulty=False)
    figures = summary(Scores(rows, {"healthy": [(FAULT, silent), (FAULT, alarmed), (FAULT, silent)]}))
    assert figures["faults named"].startswith("2 of 4")
    assert figures["of them before training"].startswith("2 of 4")
    assert figures["misnamed"].startswith("1 of 4")
    assert figures["missed"].startswith("1 of 4")
    assert figures["precision"].startswith("2 of 4")  # named: 2; misnamed: 1; a healthy one: 1
    assert figures["false alarms: healthy"].startswith("1 of 3")


def test_both_halves_are_used_and_twins_stay_together() -> None:
    for programs in (FAULTS, HEALTHY):
        held_out = sum(program.held_out for program in programs.values()) / len(programs)
        assert 0.35 < held_out < 0.65
    rows = [score(program, outcome()) for program in FAULTS.values()]
    scores = Scores(rows, {"twins": [(program, outcome()) for program in FAULTS.values()]})
    for half in (scores.half(True), scores.half(False)):
        assert [row.program for row in half.rows] == [program for program, _ in half.healthy["twins"]]


# --- rivals ---


def alarms_of(rival: type[Rival], module: pl.LightningModule, data) -> set[str]:
    listening = rival()
    fit(Program("for_a_rival", lambda: Run(module, *loaders(data))), False, 6, 1, [listening])
    return set(listening.alarms)


def test_rivals_apply_their_thresholds() -> None:
    raw = flat(raw_digits())
    small = raw._replace(x=raw.x / 255, x_val=raw.x_val / 255)
    torch.manual_seed(0)
    assert "inputs outside [-1, 1]" in alarms_of(Umlaut, Supervised(mlp(64, 16, 10)), raw)
    assert not alarms_of(Umlaut, Supervised(mlp(64, 16, 10)), small)
    assert "input range" in alarms_of(TorchAudit, Supervised(mlp(64, 16, 10)), raw)
    assert not alarms_of(TorchAudit, Supervised(mlp(64, 16, 10)), small)
    dead = mlp(64, 16, 10)
    torch.nn.init.constant_(dead[0].bias, -100.0)
    assert {"dead units", "update too small"} <= alarms_of(TheDeepChecker, Supervised(dead), small)
    assert all(alarm for rival in RIVALS for alarm in rival.names)


# --- the command ---


def test_the_command_prints_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert faults.main(["--only", "labels_from_1", "--steps", "60", "--jobs", "1"]) == 0
    printed = capsys.readouterr().out
    assert "[  2/2] labels_from_1" in printed
    assert "| faults named |" in printed
    assert "| inputs | `labels_from_1`: Labels are 1 to 10" in printed
    assert "| UMLAUT |" in printed


def test_the_command_lists_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert faults.main(["--list", "--only", "splits"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == 2 * sum(program.family == "splits" for program in FAULTS.values())
    with pytest.raises(SystemExit):
        faults.main(["--only", "nothing_of_this_name"])
