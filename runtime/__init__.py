"""What bends Lightning, and the only place that knows its private names. Nothing is imported here: it takes seconds.

private                             every private name that is used, and why
loop, step_plan, logged_values      go through an epoch in a third of Lightning's calls, the same to the bit
checkpoint, checkpoint_io           when best.ckpt and last.ckpt are written, and how: whole, and plain values only
read_checkpoint                     which checkpoint a run resumes from
resume, epoch_state, replay         continue from a checkpoint exactly where it was written
stop, signals                       Ctrl-C, SIGTERM and SIGUSR1
loggers                             TensorBoard and metrics.csv
process                             what is set once for the whole process
run_folder, tables, errors          what the commands share
"""
