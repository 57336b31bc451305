"""Every namespace has a ConfigMap with the authority that pods trust the apiserver by."""
