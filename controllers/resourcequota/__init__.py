"""What is used of quotas, counted again when something goes: the apiserver counts only what comes."""
