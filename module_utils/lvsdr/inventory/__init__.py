"""What an operator wrote, and what each service and host gets of it. Pure."""
