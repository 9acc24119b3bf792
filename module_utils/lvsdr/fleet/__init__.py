"""All hosts together: errors before a rollout, its order, what it left, and proofs from many hosts. Pure."""
