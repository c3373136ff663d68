"""The mechanisms that all services share; no module of the kit uses a business term."""
