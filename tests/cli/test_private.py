"""Every private name of jsonargparse that is relied on is there, with the parameters that it is called with."""

from collections.abc import Callable
from inspect import signature

import pytest
from jsonargparse import ArgumentError, ArgumentParser, _typehints
from jsonargparse._typehints import ActionTypeHint

from cli import private


def test_the_parser_gives_flags_types_and_its_own_error() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--sizes", type=list[int])
    assert {"--rate", "--sizes"} <= set(private.flags_of(parser))
    assert "--help" not in private.flags_of(parser)
    assert (private.type_of(parser, "rate"), private.type_of(parser, "sizes")) == (float, list[int])
    assert private.type_of(parser, "other") is None
    assert issubclass(private.NSKeyError, KeyError)


def test_a_value_that_no_type_of_a_union_takes_has_one_error_for_each() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--size", type=int | list[int])
    with pytest.raises(ArgumentError) as refused:
        parser.parse_args(["--size=[1, a]"])
    errors: list[BaseException] = [refused.value]
    while not private.union_errors(errors[-1]):
        cause = errors[-1].__cause__ or errors[-1].__context__
        assert cause is not None
        errors.append(cause)
    assert [type(each) for each in private.union_errors(errors[-1])] == [ValueError, ValueError]


def test_a_class_may_be_given_by_name_in_a_folder_with_a_file_of_that_name() -> None:
    """`tests/cli/test_names_and_files.py` shows that it works; these are the parts that it replaces."""
    assert {"value", "append", "cfg", "mode"} <= set(signature(ActionTypeHint._check_type).parameters)
    action = ActionTypeHint(typehint=int | None, enable_path=True)(option_strings=["--size"], dest="size")
    assert action._enable_path is True
    assert hasattr(_typehints, "not_a_subconfig_path")
    assert next(iter(signature(_typehints.adapt_subconfig_path).parameters)) == "val"


def test_the_parser_imports_only_what_is_allowed_and_afterwards_anything() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--call", type=Callable)
    with private.only_imports(["json", "callbacks"]):
        assert parser.parse_args(["--call=json.loads"])
        for name in ("csv.reader", "json.decoder.scanner.re.compile", "callbacks.files.os.system"):
            with pytest.raises(ArgumentError) as error:
                parser.parse_args([f"--call={name}"])
            assert not isinstance(error.value.__cause__, AttributeError)
    with private.only_imports(None):
        assert parser.parse_args(["--call=csv.reader"])
