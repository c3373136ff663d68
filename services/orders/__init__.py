"""Orders: place, change, cancel; an order's life as its customer sees it."""
