"""How each command is called: what `--help` prints first."""

FIT = """\
python train.py fit --config configs/titanic_mlp.yaml                    train; writes runs/titanic_mlp/version_0
python train.py fit --config configs/titanic_mlp.yaml --model.depth 2    with any flag
python train.py fit --config CONFIG --config configs/presets/gpu.yaml    several configs; later ones override
python train.py fit --resume titanic_mlp                                 resume its newest run, in the same folder
python train.py fit --config CONFIG --print_config                       every setting, as one config
"""
EVALUATE = """\
python train.py {command} titanic_mlp                          the newest run of an experiment, its best checkpoint
python train.py {command} runs/titanic_mlp/version_0           any run, or a checkpoint
python train.py {command} titanic_mlp --data.csv my_table.csv  with other data; any flag may be given

{what}
"""
CHECK = """\
python train.py check --config configs/mnist_mlp.yaml

Is this model on these data going to learn? Prints what is wrong, what is in order, and what could not be checked.
Any flag of fit may be given. Trains nothing, writes nothing; exit code 1 if something cannot work as written.
"""
SWEEP = """\
python train.py sweep --config configs/mnist_4v9_logistic.yaml --config configs/sweeps/lr.yaml
python train.py sweep --config configs/rings.yaml --vary model.hidden_sizes=[2],[3] --vary model.optimizer.lr=log:1e-3:1
python train.py sweep --config configs/titanic_full.yaml --replicate data.fold=0,1,2,3,4

Any flag of fit may be given, and any may vary. The same command resumes a sweep that was stopped, and shares it
with other processes that run at the same time.
"""
TUNE_LR = """\
python train.py tune-lr --config configs/mnist_mlp.yaml [--low 1e-6] [--high 10] [--steps 200]

Suggests a learning rate. Any flag of fit may be given, except --resume and --ckpt_path. Writes one picture,
runs/tune_lr/<experiment>.png, and no run.
"""
COMPARE = """\
python train.py compare RUN_A RUN_B [flags for both, like --data.data_dir DIR]

Is the difference between them on the same test rows real? A run is its folder, the name of its experiment, or a
checkpoint.
"""
RUNS = """\
python train.py runs                                        all runs, the newest last
python train.py runs titanic_mlp --sort val/loss            of one experiment or sweep, the smallest loss first
python train.py runs --sort -val/accuracy --limit 10        the ten with the largest accuracy
python train.py runs --where model.depth=3 --where state=finished --where 'val/loss<0.5' --tag baseline
python train.py runs --html                                 a page to sort and filter: runs/index.html
python train.py runs --json                                 everything, for programs; or --csv
python train.py runs note RUN "what I wanted to know"       shown in the table; "" removes it
python train.py runs tag RUN baseline                       or already with fit --tag baseline; untag removes it
python train.py runs rm RUN...                              to runs/.trash; restore brings it back

--sort and --where take a metric (val/loss), a setting (model.depth, trainer.max_epochs), or one of run, experiment,
version, started, seconds, state, best, verdict, note, tag. A state is running, finished, failed or killed.
"""
WATCH = """\
python train.py watch --config configs/titanic_mlp.yaml [--no-browser] [--port 8800]
python train.py watch RUN                                  a run under way, or one that has ended

Opens a page on this machine: the network, the data and what happens inside while it learns; play, pause, single steps,
the learning rate, another seed. Any flag of fit may be given. It trains as fit does, but only while a page is open, and
keeps nothing: no run folder, no checkpoint. Ctrl-C ends it.
"""
REPORT = """\
python train.py report titanic_mlp                          its newest run
python train.py report runs/titanic_mlp/version_0           any run
python train.py report RUN_A RUN_B ...                      several runs, side by side
python train.py report SWEEP                                a sweep

Writes a page from the files that the run left: report.html in the run's folder; of several runs, a page in the folder
of all runs; of a sweep, runs/SWEEP/report.html.
"""
NEW = """\
python train.py new NAME --like examples/segmentation

Copies an example under a new name: its folder to examples/NAME, and its test to tests/examples/test_NAME.py. The copy
trains at once. Existing files are never replaced.
"""
USAGES = {
    "fit": FIT,
    "validate": EVALUATE.format(command="validate", what="Measures the metrics of the validation split."),
    "test": EVALUATE.format(command="test", what="Measures the metrics of the test split."),
    "predict": EVALUATE.format(command="predict", what="Writes predictions.csv into the run's folder."),
    "check": CHECK,
    "sweep": SWEEP,
    "tune-lr": TUNE_LR,
    "compare": COMPARE,
    "new": NEW,
    "runs": RUNS,
    "report": REPORT,
    "watch": WATCH,
}
