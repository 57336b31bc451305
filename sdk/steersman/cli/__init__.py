"""The `steer` command line.

`main` is the table of commands; each is imported only when it is called, so that the others cost nothing. `failures`
turns every expected error into one line and an exit code; `columns` says what tables show of each kind (pure).
"""
