"""What is filled in where a manifest says nothing, as pure functions that change a message in place.

Values are Kubernetes'. They are here and not in the apiserver so that tools can show what a manifest will come to.
"""
