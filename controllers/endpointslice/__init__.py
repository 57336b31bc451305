"""EndpointSlices: for each Service, where its pods are and whether they are ready."""
