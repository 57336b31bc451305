"""Deployments: one ReplicaSet per version of the template, and a careful way from one to the next."""
