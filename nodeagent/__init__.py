"""The nodeagent: what runs on every node and makes its pods real (Kubernetes calls it the kubelet).

Data comes in as pods of this node (an informer) and as what the runtime does (`cri.events`, relisting), meets in one
worker per pod (`worker`), where `pod.plan` decides and `executor` acts through CRI, volumes and cgroups, and leaves as
pod status (`pod.status`). Beside that the agent keeps its Node object and its lease (`node`), writes the network's
configuration (`network.cni`) and serves logs, commands and connections to the apiserver (`rpc`).

`pod/` holds values and decisions only; everything that touches the world is outside of it.
"""
