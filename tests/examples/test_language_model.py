"""Sentences of a small grammar: their entropy, and what the network writes."""

import math
import random
import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import torch

from cli import main
from examples.language_model.data import (
    ALPHABET,
    END,
    MAX_LENGTH,
    NOT_A_TARGET,
    NOUNS,
    SEEN,
    VERBS,
    SentencesDataModule,
    decode,
    encode,
    entropy,
    number,
    sentence,
)
from examples.language_model.model import LitCharGRU

CONFIG = Path(__file__).parents[2] / "examples/language_model/language_model.yaml"


def test_the_entropy_is_that_of_many_sentences() -> None:
    """Estimated from how often each sentence comes, without knowing how it is made."""
    choose = random.Random(1)
    drawn = Counter(sentence(choose) for _ in range(300_000))
    short = {text: count for text, count in drawn.items() if " that " not in text}
    assert len(short) == 2 * len(NOUNS) * len(VERBS)
    # All sentences of a form have the same probability: 1 / 96 of the short ones, 1 / (96 * 64) of the long ones.
    assert max(short.values()) < 1.2 * min(short.values())
    long = len(short) * 2 * len(NOUNS) * len(SEEN)
    nats = {True: math.log(2 * long), False: math.log(2 * len(short))}
    total = sum(count * nats[" that " in text] for text, count in drawn.items())
    letters = sum(count * len(text) for text, count in drawn.items())
    assert total / letters == pytest.approx(entropy(), rel=0.005)


def test_targets_are_the_next_characters_and_nothing_behind_the_end() -> None:
    data = SentencesDataModule(num_sentences=50)
    x, y = data.load()["train"]
    assert x.shape == y.shape == (40, MAX_LENGTH)
    for inputs, targets in zip(x, y, strict=True):
        text = decode(inputs) + END
        counted = targets[targets != NOT_A_TARGET]
        assert "".join(ALPHABET[token] for token in counted) == text
    longest = f"{END}the children that the children follows sleeps."
    assert decode(encode(longest, MAX_LENGTH)) == longest.strip()


def follows_the_grammar(text: str) -> bool:
    """Whether the words are known, and both verbs agree with their nouns."""
    forms = {number(noun, is_plural): is_plural for noun in NOUNS for is_plural in (False, True)}
    noun = "|".join(forms)
    found = re.fullmatch(
        rf"the ({noun})(?: that the ({noun}) ({'|'.join(SEEN)})(s?))? ({'|'.join(VERBS)})(s?)\.", text
    )
    if found is None:
        return False
    subject, other, _, other_ending, _, ending = found.groups()
    return forms[subject] == (ending == "") and (other is None or forms[other] == (other_ending == ""))


def test_the_grammar_is_recognized() -> None:
    choose = random.Random(2)
    assert all(follows_the_grammar(sentence(choose).strip()) for _ in range(500))
    assert not follows_the_grammar("the cats that the dog sees sleeps.")
    assert not follows_the_grammar("the cat that the dogs sees sleeps.")


def test_prediction_continues_the_beginning_of_each_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [
        "--trainer.max_epochs=1",
        "--trainer.limit_train_batches=3",
        "--checkup=false",
        "--pictures=false",
    ]
    assert main(["fit", f"--config={CONFIG}", *words]) == 0
    run = Path("runs/language_model/version_0")
    assert main(["predict", f"--ckpt_path={run}"]) == 0
    table = pd.read_csv(run / "predictions.csv", keep_default_na=False)
    data = SentencesDataModule()
    beginnings, rows = data.load()["predict"]
    assert table["index"].tolist() == rows.tolist()
    assert all(
        text.startswith(decode(tokens)) for text, tokens in zip(table["prediction"], beginnings, strict=True)
    )
    assert torch.equal(beginnings[:, 0], torch.zeros(len(rows), dtype=torch.long))


def test_written_sentences_are_the_same_each_time_and_leave_the_random_numbers_alone() -> None:
    data = SentencesDataModule(num_sentences=50)
    model = LitCharGRU(in_shape=data.in_shape, out_features=data.out_features, task=data.task).eval()
    torch.manual_seed(0)
    following = torch.rand(1)
    torch.manual_seed(0)
    first, second = model.sample_text(num_samples=4), model.sample_text(num_samples=4)
    assert first == second
    assert len(set(first)) == 4
    assert all(END not in text for text in first)
    assert torch.equal(torch.rand(1), following)
