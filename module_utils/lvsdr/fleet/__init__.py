"""All hosts together: errors before a rollout, its order, what it left, proofs from several hosts, the rehearsal. Pure.

Here belongs what needs facts of more than one host. It must not touch a host: playbooks and actions do what it decides.
"""
