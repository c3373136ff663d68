"""zerocart: an order-management back end that sleeps at zero."""
