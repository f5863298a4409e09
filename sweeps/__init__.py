"""Many runs, one table. `train.py sweep` (`cli/sweep.py`) reads the plan and passes in the function that builds a run.

space     what varies: values and ranges for flags of `fit`
plan      which runs make up a sweep
study     which run comes next; stored in a journal that any number of processes share
trials    one run, from its words to its score
bulk      many small networks trained as one (bulk_stack: their weights; bulk_training; bulk_results: their folders)
run_all   train the waiting runs, then report
summary   means over seeds, the best setting, whether it differs from the second best
pictures  score against settings
"""
