"""Train, evaluate and apply a network; then look inside it.

python train.py fit --config configs/titanic_mlp.yaml                      train; writes runs/titanic_mlp/version_0
python train.py fit --config configs/titanic_mlp.yaml --model.hidden_sizes [8,8] --model.optimizer.lr 0.01
python train.py fit --config configs/mnist_convnet.yaml --config configs/presets/ddp.yaml         two processes
python train.py check --config configs/titanic_mlp.yaml                    will it learn? seconds; trains nothing
python train.py fit --resume runs/titanic_mlp/version_0                    resume where it stopped, in the same folder
python train.py test titanic_mlp                                           its newest run; or a folder, or a checkpoint
python train.py predict runs/titanic_mlp/version_0 --data.csv my_table.csv
python train.py compare mnist_mlp mnist_convnet                            is the difference real?
python train.py sweep --config configs/mnist_4v9_logistic.yaml --config configs/sweeps/lr.yaml     many runs, one table
python train.py sweep --config configs/titanic_mlp.yaml --vary model.optimizer.lr=0.01,0.1 --sweep.seeds 8
python train.py tune-lr --config configs/titanic_mlp.yaml                  suggest a learning rate
python train.py watch --config configs/circles.yaml                        see it learn, in the browser
python train.py report titanic_mlp                                         its newest run as a page, report.html
python train.py runs --sort val/loss                                       all runs in a table; --html: a page
python train.py fit --config configs/titanic_mlp.yaml --help               its options; --completion bash: for TAB
python train.py new my_project --like examples/segmentation                copy an example, to start from
tensorboard --logdir runs                                                  curves, gradients, activations
"""

import sys

from runtime.errors import explain

try:
    from cli import main
except ModuleNotFoundError as error:  # in an environment where nothing is installed yet
    sys.exit(explain(error))

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], description=__doc__))
