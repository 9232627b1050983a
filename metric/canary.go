package metric

// Canary is the metric of the events that Pulseboard sends through itself
// (clients/canary). It is aggregated like any other, and not in the catalogue.
const Canary = "pulseboard.canary"
