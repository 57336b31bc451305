"""The scheduler: decides on which node a pod runs, and can say why.

`watcher` turns what the apiserver reports into changes of the `columns` (the cluster as NumPy arrays over nodes) and of
the `queue`. `loop` takes the next pod, `framework` runs the profile's `plugins` over all nodes at once and picks one,
and `binder` tells the apiserver while the next decision is already being made.
"""
