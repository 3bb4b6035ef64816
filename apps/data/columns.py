"""Which columns of a table are the signal, and which are given with it."""

import difflib
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from apps.data.checks import FileError
from apps.data.table import Table


class Columns(NamedTuple):
    """The columns of a table, each on one side.

    Attributes:
        made: Numbers of those that are the signal's channels, from 0.
        given: Numbers of those that are covariates, in the order in which they were asked for.
        names: What the covariates are called: their names, or numbers from 1.
    """

    made: tuple[int, ...]
    given: tuple[int, ...]
    names: tuple[str, ...]


def divided(path: str | os.PathLike[str], table: Table, covariates: Sequence[str | int]) -> Columns:
    """Tell the covariates of a table from its channels.

    Args:
        path: Of the file, for messages.
        table: What was read of it.
        covariates: Columns by name, or by number from 1, as messages count them.

    Raises:
        FileError: If there is no such column, one is asked for twice, or none is left.
    """
    count = 1 if table.values.ndim == 1 else table.values.shape[-1]
    given = tuple(_place(path, table, count, each) for each in covariates)
    for place, asked in zip(given, covariates, strict=True):
        if given.count(place) > 1:
            raise FileError(path, f"covariates={list(covariates)} has {asked!r} twice")
    made = tuple(place for place in range(count) if place not in given)
    if not made:
        raise FileError(
            path, f"covariates={list(covariates)} are all of its columns: leave one to be made"
        )
    aside = count if table.dates is None else table.dates.place  # a column before those behind it
    names = table.columns or tuple(str(at + 1 + (at >= aside)) for at in range(count))
    return Columns(made, given, tuple(names[place] for place in given))


def picked(
    path: str | os.PathLike[str], table: Table, count: int | None, names: Sequence[str]
) -> Table:
    """The columns of these names, [rows, columns], of a table that may have others.

    A table without names, or with other ones, has these columns alone and in this order.

    Args:
        path: Of the file, for messages.
        table: What was read of it.
        count: How many columns there are to be; None takes what is there.
        names: What they are called, where that is known.

    Raises:
        FileError: If it has none of these names, and another number of columns.
    """
    values = table.values
    if values.ndim not in (1, 2):
        raise FileError(
            path, f"has the shape {values.shape}, where one series [time, channels] is meant"
        )
    series = values.reshape(len(values), -1)
    if names and all(table.columns.count(name) == 1 for name in names):
        series = series[:, [table.columns.index(name) for name in names]]
        return replace(table, values=series, columns=tuple(names))
    if count is not None and series.shape[1] != count:
        called = f" ({', '.join(names)})" if names else ""
        raise FileError(path, f"has {series.shape[1]} channels where channels={count}{called}")
    return replace(table, values=series)


def _place(path: str | os.PathLike[str], table: Table, count: int, asked: str | int) -> int:
    """The number of a column, from 0; a name goes before a number."""
    columns = table.columns
    if asked in columns:
        return columns.index(str(asked))
    if isinstance(asked, int) or asked.isdecimal():
        # Numbers are those of the file, where a column of dates, which is kept aside, counts too.
        aside = None if table.dates is None else table.dates.place + 1
        if int(asked) == aside:
            raise FileError(path, f"covariates: column {asked} holds dates and is kept aside")
        place = int(asked) - 1 - (aside is not None and int(asked) > aside)
        if 0 <= place < count:
            return place
        whole = count + (aside is not None)
        raise FileError(path, f"covariates: there is no column {asked}, it has {whole}, from 1")
    if not columns:
        raise FileError(
            path, f"covariates: {asked!r} is not known, since its columns have no names: give "
            f"their numbers, 1 to {count}"
        )  # fmt: skip
    near = difflib.get_close_matches(asked, columns, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise FileError(path, f"covariates: {asked!r} is none of {', '.join(columns)}{hint}")
