"""Every message of zerocart, one module per producer. Contracts declare data and contain no mechanism."""
