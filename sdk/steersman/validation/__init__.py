"""The rules that objects must keep, as pure functions: a message in, what is wrong with it out.

They are here and not in the apiserver so that manifests can be checked offline by the same rules. Limits are
Kubernetes'; every violation names its field by its JSON path.
"""
