"""The kube-proxy: Services become kernel rules on this node, and the other nodes' pods become reachable from it.

Services and EndpointSlices come in by watches (`bootstrap`), `services` and `endpoints` read them into values,
`compiler` turns the values into a rule set, `transaction` into one `iptables-restore` input that makes the kernel so,
and `iptables` runs it. `routes` and `routing` do the same for the pod network between nodes. `sync` is the loop that
drives both.
"""
