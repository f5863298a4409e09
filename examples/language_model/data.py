"""English-like sentences from a small grammar, one character after the other; generated.

Who reads a sentence can guess the next character, but never know it: how much remains to be guessed is the entropy of
the grammar, and no model can have a smaller loss. `entropy` computes it.
"""

import math
import random
from typing import Any

import torch
from torch import Tensor

from datamodules.base import Split, TensorDataModule, split_rows

END = "\n"  # stands before and after each sentence, and fills the rows behind it
ALPHABET = END + " .abcdefghijklmnopqrstuvwxyz"
NOT_A_TARGET = -100  # class of the characters behind the end, which count neither in the loss nor in a metric

NOUNS = ("cat", "dog", "bird", "child", "girl", "king", "robot", "teacher")
VERBS = ("sleep", "run", "sing", "jump", "read", "wait")
SEEN = ("see", "like", "hear", "follow")
PLURALS = {"child": "children"}
CLAUSE_CHANCE = 0.5  # that a clause stands between a noun and its verb
MAX_LENGTH = len("the children that the children follows sleeps." + END)
NUM_KNOWN = 8  # characters of a sentence that prediction continues


class SentencesDataModule(TensorDataModule):
    """Sentences such as "the cats that the dog sees sleep.": the verb must remember whether its noun was plural.

    A row holds the numbers of its characters (N, length), and the target those of the next ones. Prediction continues the
    first characters of the test sentences.

    Args:
        num_sentences: in all splits together; a tenth each is for validation and test.
        data_seed: of the sentences.
        kwargs: see `TensorDataModule`.
    """

    def __init__(self, *, num_sentences: int = 6000, data_seed: int = 0, **kwargs: Any) -> None:
        super().__init__(normalize=False, **kwargs)
        self.num_sentences, self.data_seed = num_sentences, data_seed
        self.task = "multiclass"
        self.in_shape, self.out_features = (MAX_LENGTH,), len(ALPHABET)
        self.class_names = [repr(letter).strip("'") for letter in ALPHABET]

    def load(self) -> dict[str, Split]:
        choose = random.Random(self.data_seed)
        tokens = torch.stack(
            [encode(END + sentence(choose), MAX_LENGTH + 1) for _ in range(self.num_sentences)]
        )
        x, y = tokens[:, :-1], tokens[:, 1:].clone()
        y[(x == 0).cumsum(1) > 1] = NOT_A_TARGET  # behind the second END
        held_out = self.num_sentences // 10
        rows = split_rows(self.num_sentences, num_val=held_out, num_test=held_out, seed=0)
        splits = {name: (x[chosen], y[chosen]) for name, chosen in rows.items()}
        return {**splits, "predict": (x[rows["test"], :NUM_KNOWN], rows["test"])}


def sentence(choose: random.Random) -> str:
    """A sentence of the grammar, each word chosen with equal chances."""
    noun, is_plural = choose.choice(NOUNS), choose.random() < 0.5
    words = ["the", number(noun, is_plural)]
    if choose.random() < CLAUSE_CHANCE:
        other, is_other_plural = choose.choice(NOUNS), choose.random() < 0.5
        seen = choose.choice(SEEN)
        words += ["that", "the", number(other, is_other_plural), seen if is_other_plural else f"{seen}s"]
    verb = choose.choice(VERBS)
    return " ".join([*words, verb if is_plural else f"{verb}s"]) + "." + END


def number(noun: str, is_plural: bool) -> str:
    """The noun in the singular or the plural."""
    return PLURALS.get(noun, f"{noun}s") if is_plural else noun


def entropy() -> float:
    """Mean uncertainty about the next character of a sentence, its END included, in nats.

    That of a sentence, which is the sum over its independent choices, divided by the mean number of its characters.
    """
    of_noun = math.log(len(NOUNS)) + math.log(2)
    of_clause = -sum(p * math.log(p) for p in (CLAUSE_CHANCE, 1 - CLAUSE_CHANCE))
    of_sentence = of_noun + of_clause + math.log(len(VERBS)) + CLAUSE_CHANCE * (of_noun + math.log(len(SEEN)))

    noun_length = mean_length([number(noun, is_plural) for noun in NOUNS for is_plural in (False, True)])
    verb_length, seen_length = mean_length(VERBS) + 0.5, mean_length(SEEN) + 0.5  # half of them end in s
    clause_length = len(" that the ") + noun_length + len(" ") + seen_length
    length = len("the ") + noun_length + CLAUSE_CHANCE * clause_length + len(" ") + verb_length + len(".\n")
    return of_sentence / length


def mean_length(words: tuple[str, ...] | list[str]) -> float:
    return sum(map(len, words)) / len(words)


def encode(text: str, length: int) -> Tensor:
    """The numbers of the characters (length,), filled with END."""
    return torch.tensor([ALPHABET.index(letter) for letter in text.ljust(length, END)])


def decode(tokens: Tensor) -> str:
    """The text of a row (T,) up to its second END."""
    letters = "".join(ALPHABET[token] for token in tokens.tolist())
    return letters.strip(END).partition(END)[0]
