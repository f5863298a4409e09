"""What people look at in a browser: one file for each page, with everything embedded, made from the files of a run.

report.py     the page of one run, section by section
comparison.py runs side by side; sweep.py: the page of a sweep
run_files.py  reads a run's folder; a missing or damaged file never stops a page
frame.py      what all pages share: head, style, sections, tables
charts.py     the numbers of charts; charts.js draws them with Bokeh, whose script is embedded
asked.py, result.py, findings.py, curves.py, layers.py, distributions.py, weights.py, network.py, gallery.py and
origin.py     its sections
thinning.py   curves of at most a thousand points, with every peak
live.py       a callback that rewrites a run's page while it trains
watch/        a network that is seen to learn, in a page that a local server keeps up to date
"""
