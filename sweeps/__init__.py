"""Many runs, one command, one table: `train.py sweep`.

space     what varies: values and ranges for flags of `fit`
plan      from the command's words and the `sweep:` section of its configs to a checked plan
study     which run comes next; stored in a journal that any number of processes share
trials    one run, from its words to its score
bulk      many small networks trained as one
summary   means over seeds, the best setting, whether it differs from the next
pictures  score against settings
command   the whole, in order
"""
