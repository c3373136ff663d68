"""Tools beside the product: the local cluster, the importer and the `zerocart` command."""
