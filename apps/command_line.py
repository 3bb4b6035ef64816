"""The way into a command: the words are read, the job is done, the exit code says how."""

import io
import os
import sys
from collections.abc import Callable

import yaml

from apps import manual, sweep
from apps.manual import Door
from apps.schema import ConfigError, Schema, to_dict
from apps.sweep import Stopped as Stopped
from apps.words import CONF as CONF
from apps.words import Words as Words
from apps.words import quoted as quoted
from apps.words import read as read
from apps.words import sort as sort
from apps.words import stamp as stamp


def enter(door: Door, schema: type[Schema], job: Callable[[Schema], int], words: list[str]) -> int:
    """Answer a command: read the config and do the job, or say what is wrong.

    Args:
        door: What the command is, for `--help`.
        schema: What it takes. A `Config` is composed from `conf/`, anything else is its defaults
            and `key=value`.
        job: What is done with the config; returns the exit code.
        words: The command's words, without the program's name.

    Returns:
        The exit code: 0 well, 2 a setting is wrong, 130 stopped by Ctrl-C before there was
        anything to save; otherwise the job's.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file on Windows, or a terminal of old, may have no → and no 音: it gets a ? instead.
        sys.stdout.reconfigure(errors="replace")
    try:
        sorted_words = sort(words)
        if sorted_words.topic is not None:
            print(manual.page(door, schema, sorted_words.folders, topic=sorted_words.topic))
            return 0
        if sorted_words.multirun or sweep.is_begun(schema, sorted_words):
            return sweep.run(schema, job, sorted_words)
        settled = read(schema, sorted_words)
        if sorted_words.show:
            print(yaml.safe_dump(to_dict(settled), allow_unicode=True, sort_keys=False), end="")
            return 0
        return job(settled)
    except Stopped:
        return 0
    except ConfigError as error:
        if os.environ.get("HYDRA_FULL_ERROR"):
            raise
        print(f"{error}\n({door.command} --help tells what can be set)", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
