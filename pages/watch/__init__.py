"""A network that is seen to learn: a page in the browser, on this machine only.

server    the page and its connection: 127.0.0.1, a random token in the address, no foreign origin
controls  what the pages ask for: play, step, the learning rate, an image, a kernel
watcher   Watcher, the callback that waits between two steps and shows what happened
follower  Follower, the callback that shows a run that another process trains, or that has ended
frames    one frame: everything a page draws, as plain values
columns   the units of a network, layer by layer, and the weights between them
scenes    what is shown of the data: a plane, a curve, images, series or a table
packing   arrays as short text
page/     the page itself: HTML, a style sheet and plain JavaScript modules; nothing comes from elsewhere

One thread, the main one, trains and computes every frame; another one serves the pages. They share only `Controls` and
finished frames, so nothing ever reads a weight while it changes.
"""
