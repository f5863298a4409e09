"""The command line, best read from `main.py` on: words -> request -> run -> exit code.

main                                `run = build(request); run.fit(); report(run)`
request, config_files, overview     what is answered or refused without PyTorch
new                                 copies an example
stray_words, run_paths              words that belong to no flag; which checkpoint is meant
own_modules                         the files of models and data that a command names
trust                               whose configs may import code
build, flags, parser, defaults      settings, model, data, callbacks and Trainer of one command
wrong_values                        what is wrong with a value, and how it would be written
parser_errors                       what lies below an error of the parser: of a constructor, an import, a value
checks, checkpoint_checks           what is refused once PyTorch is loaded
monitor_checks                      that a metric which a run waits for is logged
resume_checks                       flags that contradict what a run is resumed from
recording, settings_beyond          run.json, and which settings differ from the config and from the defaults
reports, page_at_end                what a command prints and writes at its end: the summary table, the page
report                              `train.py report`: the pages of runs, made again
check, watch, watch_run             `train.py check`; `train.py watch`, of a new training or of a run
help, usage, options                `--help`: the options of an experiment, read from configs and sources
completion, version                 tab completion; `--version`
runs, runs_query, runs_table        `train.py runs`: a table of all runs
wrong_settings                      which setting made a library fail
cluster                             jobs that a scheduler restarts
sweep                               many runs
tune_lr, range_test                 a learning rate
compare, row_scores, paired_tests   `train.py compare`: is the difference between two runs real?
"""

from cli.main import main

__all__ = ["main"]
