"""What a shell is told once, so that it asks `train.py --complete` at every press of TAB.

Each asks only this very train.py: another program of that name might take the words for a command.
"""

import shlex
from pathlib import Path

from runtime.errors import UsageError, did_you_mean

BASH = """\
# Tab completion of `python train.py`, for ~/.bashrc: source <(python {path} --completion bash)
_complete_train_py() {{
    COMPREPLY=()
    [[ ${{COMP_WORDS[1]}} -ef {path} ]] || return 0
    local IFS=$'\\n'
    COMPREPLY=($("${{COMP_WORDS[0]}}" {path} --complete bash "${{COMP_LINE:0:COMP_POINT}}" 2>/dev/null))
}}
complete -o nospace -o bashdefault -o default -F _complete_train_py python python3
"""
ZSH = """\
# Tab completion of `python train.py`, for ~/.zshrc, after compinit: source <(python {path} --completion zsh)
_complete_train_py() {{
    if ! [[ ${{(Q)words[2]}} -ef {path} ]]; then
        _python 2>/dev/null || _files
        return
    fi
    local -a found
    found=("${{(@f)$(${{(Q)words[1]}} {path} --complete zsh "${{(@Q)words[3,CURRENT]}}" 2>/dev/null)}}")
    found=(${{found:#}})
    (( $#found )) || {{ _files; return }}
    compadd -S '' -- ${{(M)found:#*[/=]}}
    compadd -- ${{found:#*[/=]}}
}}
autoload -Uz _python
compdef _complete_train_py python python3
"""
FISH = """\
# Tab completion of `python train.py`, for ~/.config/fish/config.fish: python {path} --completion fish | source
function __is_train_py
    set -l words (commandline -opc)
    test (count $words) -gt 1; and test (realpath -- $words[2] 2>/dev/null) = {path}
end
function __complete_train_py
    set -l words (commandline -opc)
    set -l found ($words[1] {path} --complete fish $words[3..] (commandline -ct) 2>/dev/null)
    test (count $found) -gt 0; and printf '%s\\n' $found; or __fish_complete_path (commandline -ct)
end
for name in python python3
    complete -c $name -n __is_train_py -f -a '(__complete_train_py)'
end
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
TRAIN_PY = Path(__file__).resolve().parents[1] / "train.py"


def script(shell: str) -> str:
    """The lines for the settings of a shell.

    Raises:
        UsageError: for another shell.
    """
    if shell not in SCRIPTS:
        raise UsageError(f"--completion {shell or 'needs a shell'}; {did_you_mean(shell, SCRIPTS)}")
    return SCRIPTS[shell].format(path=shlex.quote(str(TRAIN_PY)))
