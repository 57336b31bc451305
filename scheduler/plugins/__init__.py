"""The rules by which nodes are refused and compared, one file each, all of them pure functions of columns.

`plugin.Plugin` says what a plugin is; `registry` lists those that there are.
"""
