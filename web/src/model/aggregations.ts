/** All but percentiles; written by `go generate ./aggregate`. */
export const AGGREGATIONS = ["sum", "avg", "max", "min", "count", "stddev"];
