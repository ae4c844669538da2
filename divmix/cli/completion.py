"""Completion of shell lines: files stay files, and columns are those of the table on the line.

The shells call `divmix` with the words of the line in the environment, in Click's protocol; each
answer is a kind and a value. Click's own scripts know no columns, and lose `--option=value` or a
comma in an answer, so the scripts are here.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
)

from divmix.errors import DivmixError

SHELLS = ("bash", "zsh", "fish")
TABLES = ("data", "table", "new", "train")  # parameters that name a table, the likeliest first


class FileName(click.ParamType):
    """The name of a file or folder, taken as it is written."""

    name = "file"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


class ColumnName(click.ParamType):
    """The name of a column, or with `many` names between commas; `words` may stand instead."""

    name = "column"

    def __init__(self, many: bool = False, words: Collection[str] = ()) -> None:
        self.many, self.words = many, words

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        before, comma, started = incomplete.rpartition(",") if self.many else ("", "", incomplete)
        written = set(before.split(","))
        names = [*(() if before else self.words), *columns_on_line(ctx)]
        return [
            CompletionItem(before + comma + shown, type="columns" if self.many else "column")
            for name in names
            if name not in written and (shown := self._listed(name)).startswith(started)
        ]

    def _listed(self, name: str) -> str:
        """The name as it stands in a list: in quotes where it has a comma."""
        return f'"{name}"' if self.many and "," in name else name


FILE, COLUMN, COLUMNS = FileName(), ColumnName(), ColumnName(many=True)


def columns_on_line(ctx: click.Context) -> list[str]:
    """The columns of the first table that the line names so far; pipes are left alone."""
    from divmix.tables.reading import open_table

    reading = {name: ctx.params[name] for name in ("header", "encoding") if ctx.params.get(name)}
    for name in _names_on_line(ctx):
        path = Path(name).expanduser()
        if path.is_file() or (path.is_dir() and not (path / "run.json").exists()):
            try:
                names = open_table([path], **reading).all_names
            except (DivmixError, OSError):
                continue
            return [name for name in names if name.isprintable()]
    return []


def _names_on_line(ctx: click.Context) -> Iterator[str]:
    for param in TABLES:
        value: Any = ctx.params.get(param) or ()
        yield from [value] if isinstance(value, str) else value
    yield from ctx.args  # of a line that ends in an option without its value


@add_completion_class
class Bash(BashComplete):
    """Readline's parts of `--option=value` are put together; it quotes columns as it does files."""

    source_template = r"""%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            file) compopt -o default ;;
            column) compopt -o filenames; COMPREPLY+=("$value") ;;
            columns) compopt -o filenames -o nospace; COMPREPLY+=("$value") ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(IFS=$'\n'; COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        words, incomplete = super().get_completion_args()
        return [word for word in words if word != "="], incomplete


@add_completion_class
class Zsh(ZshComplete):
    source_template = r"""#compdef %(prog_name)s
%(complete_func)s() {
    local type value told
    local -a answers plain described
    answers=("${(@f)$(COMP_WORDS="${(F)words}" COMP_CWORD=$((CURRENT-1)) \
        %(complete_var)s=zsh_complete ${words[1]} 2>/dev/null)}")
    compset -P '--*='
    for type value told in "${answers[@]}"; do
        case $type in
            file) _path_files -f ;;
            columns) compadd -S '' -- "$value" ;;
            *) if [[ $told == _ ]]; then plain+=("$value"); else described+=("$value:$told"); fi ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described
    (( $#plain )) && compadd -V unsorted -a plain
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""


@add_completion_class
class Fish(FishComplete):
    source_template = r"""function %(complete_func)s
    set -l word (commandline -t)
    set -l option (string match -r -- '^--[^=]+=' $word)
    for answer in (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) \
            COMP_CWORD=$word %(prog_name)s 2>/dev/null)
        set -l parts (string split -m 1 , -- $answer)
        if test $parts[1] = file
            __fish_complete_path $parts[2] | string replace -r '^' -- "$option"
        else
            printf '%%s\n' "$option$parts[2]"
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


def print_script(ctx: click.Context, param: click.Parameter, shell: str | None) -> None:
    """Callback of --completion: the script for the shell, and no more."""
    if shell is not None:
        made = {"bash": Bash, "zsh": Zsh, "fish": Fish}[shell]
        click.echo(made(ctx.command, {}, "divmix", "_DIVMIX_COMPLETE").source(), nl=False)
        ctx.exit()
