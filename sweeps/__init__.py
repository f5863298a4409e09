"""Many runs, one table. `train.py sweep` (`cli/sweep.py`) reads the plan and hands in what builds a run.

space     what varies: values and ranges for flags of `fit`
plan      which runs a sweep comes to
study     which run comes next; stored in a journal that any number of processes share
trials    one run, from its words to its score
bulk      many small networks trained as one (bulk_stack: their weights; bulk_training; bulk_results: their folders)
run_all   train what waits, then report
summary   means over seeds, the best setting, whether it differs from the next
pictures  score against settings
"""
