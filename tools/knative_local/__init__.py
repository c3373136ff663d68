"""The local cluster: runs knative/*.yaml on one machine, with real Postgres and Kafka, without Kubernetes or Docker."""
