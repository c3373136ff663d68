"""REST: the FastAPI application, JSON routes, problem details, rate limits, query parameters, OpenAPI."""
