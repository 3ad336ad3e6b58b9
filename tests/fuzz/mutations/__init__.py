"""What becomes of one argument: small changes with a name, and what is expected of the call."""
