"""Users: accounts, their activation, preferences and passwords, and the tokens that prove who somebody is."""
