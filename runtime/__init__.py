"""What changes Lightning's behavior, and the only place that knows its private names.

Nothing is imported here, because that takes seconds.

private                             every private name that is used, and why
loop, step_plan, logged_values      run an epoch with a third of Lightning's calls and the same results to the bit
graph                               a step recorded as a CUDA graph and replayed
checkpoint, checkpoint_io           when and how best.ckpt and last.ckpt are written: whole, or not at all
kept_values                         which values a checkpoint keeps, and how they load without running code
read_checkpoint                     which checkpoint a run resumes from
resume, epoch_state, module_modes   resume exactly where the checkpoint was written
restored                            settings that the checkpoint overrides: applied, refused or reported
replay, training_loaders            batches that can be drawn again, of loaders from elsewhere
evaluation_loaders                  each row once in several processes, of loaders from elsewhere
samplers, generators                what such loaders keep: counts, lists, random generators
direction, metric_schedules         whether a metric should be small or large; schedules that follow one
ending, end_record, run_lock        why a training ended; one process at a time in a run's folder
run_record, surroundings, phases    run.json: what was asked, with what it ran, where its time went
result_file, compared               result.json and compare.json
stop, signals                       Ctrl-C, SIGTERM and SIGUSR1
loggers, tensorboard                metrics.csv and TensorBoard's events
synchronized                        Lightning's advice `sync_dist=True`, only where it is true
board, hparams, run_text            TensorBoard's first screen, its pages HPARAMS and Text
process                             what is set once for the whole process
sharding                            weights in the layout that FSDP assumes
run_folder, run_lock, tables, errors  what the commands share
commit, metric_names, signatures    what is known without importing anything
run_list, old_runs, sweep_journal   all runs, and what each left in its files
run_notes, trash, config_text       notes and tags; removed runs; one setting of a config
commands                            commands as they are printed
"""
