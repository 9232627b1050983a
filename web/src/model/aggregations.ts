/** Those whose values are distributions, and not numbers; written by `go generate ./aggregate`. */
const DISTRIBUTIONS = ["histogram"];

export function isDistribution(aggregation: string): boolean {
  return DISTRIBUTIONS.includes(aggregation);
}
