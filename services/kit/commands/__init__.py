"""The command path: load an aggregate, decide, append the events once, publish them."""
