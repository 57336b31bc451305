"""The Python SDK of Steersman: typed messages, a client, manifests, informers and the reconcile runtime.

Importing this package imports nothing else, so that a command line starts fast; take what you need from the
submodules: `steersman.client`, `steersman.manifests`, `steersman.informer`, `steersman.core.v1`, `steersman.apps.v1`.
"""

__version__ = "0.1.0"
