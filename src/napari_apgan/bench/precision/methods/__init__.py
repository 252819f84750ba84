"""What is measured: each way of finding atoms, in a module of its own."""
